use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use byrnie_runtime::shutdown::Signals;
use tokio::time::timeout;

use super::*;
use crate::{
    config::Config,
    control::{finish, resources::listener},
    identity::{
        Current,
        testing::{Authority, CART},
    },
    telemetry::Telemetry,
    tls::Contexts,
};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// The control half without a control plane: the test says what there is.
struct Half {
    control: Control,
    resources: watch::Sender<Arc<Resources>>,
    identity: Arc<Current>,
}

impl Half {
    fn start(workers: usize) -> Self {
        let (identity, resources) = (Arc::new(Current::new()), watch::Sender::default());
        let contexts = Arc::new(Contexts::new(identity.clone()));
        let telemetry = Arc::new(Telemetry::new("shop", "cart-1", identity.clone(), None).unwrap());
        let shared = Arc::new(Shared::new(Config::default(), contexts, Box::new(|_| ()), telemetry));
        let workers = (0..workers).map(|index| Worker::start(index, shared.clone()).unwrap()).collect();
        let control = Control::new(shared, workers, resources.subscribe(), identity.watch());
        let mut half = Self { control, resources, identity };
        half.control.follow();
        half
    }

    /// All that was asked for is this listener.
    fn send(&self, address: SocketAddr, tls: bool) {
        let mut resources = Resources::default();
        resources.warm = true;
        let listener = listener("in", address, tls);
        Arc::make_mut(&mut resources.listeners).insert(listener.name.clone(), Arc::new(listener));
        self.resources.send_replace(Arc::new(resources));
    }

    fn identify(&self) {
        self.identity.publish(Authority::new().identity(CART, Duration::from_secs(3600)));
    }

    async fn until(&mut self, holds: impl Fn(&[Waiting]) -> bool) {
        let waiting = self.control.waiting();
        let steps = async {
            while !holds(&waiting.borrow()) {
                self.control.step().await;
            }
        };
        timeout(LIMIT, steps).await.unwrap_or_else(|_| panic!("still waiting for {:?}", waiting.borrow()));
    }

    async fn finish(mut self) {
        let mut signals = Signals::register().unwrap();
        assert_eq!(finish(&mut self.control, LIMIT, &mut signals).await, Ok(()));
        self.control.end().into_iter().for_each(Worker::join);
    }
}

/// A port of an address that is one test's own, so that no other takes it once it is not held any more.
fn address(last: u8) -> (TcpListener, SocketAddr) {
    let held = TcpListener::bind((std::net::Ipv4Addr::new(127, 0, 98, last), 0)).unwrap();
    let address = held.local_addr().unwrap();
    (held, address)
}

#[tokio::test]
async fn all_workers_listen_before_the_proxy_is_ready_and_end_when_nothing_runs() {
    let address = address(1).1;
    let mut half = Half::start(2);
    half.send(address, true);
    half.until(|waiting| waiting == [Waiting::Certificate]).await;
    TcpStream::connect(address).unwrap_err();
    half.identify();
    half.until(<[Waiting]>::is_empty).await;
    TcpStream::connect(address).unwrap();
    half.finish().await;
    TcpStream::connect(address).unwrap_err();
}

#[tokio::test]
async fn a_listener_without_tls_serves_before_there_is_a_certificate() {
    let address = address(2).1;
    let mut half = Half::start(1);
    half.send(address, false);
    half.until(|waiting| waiting == [Waiting::Certificate]).await;
    half.control.advance(Stage::Draining);
    let listens = async {
        while half.control.shared.bound().iter().all(|bound| bound.generation < 2) {
            half.control.step().await;
        }
    };
    timeout(LIMIT, listens).await.unwrap();
    TcpStream::connect(address).unwrap();
    half.finish().await;
}

#[tokio::test]
async fn an_address_that_is_taken_keeps_it_from_being_ready_until_it_is_free() {
    let (held, address) = address(3);
    let mut half = Half::start(1);
    half.identify();
    half.send(address, true);
    let is_told = |waiting: &[Waiting]| matches!(waiting, [Waiting::Bind(failure)] if failure.address == address);
    half.until(is_told).await;
    drop(held);
    half.control.follow();
    half.until(<[Waiting]>::is_empty).await;
    half.finish().await;
}
