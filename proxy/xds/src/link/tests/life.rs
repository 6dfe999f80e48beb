//! Streams that come and go.

use std::{fs, time::Duration};

use byrnie_proto::{
    Kind::{Cluster, Listener},
    envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse,
};
use tonic::Status;

use super::fixture::{Plane, settings};
use crate::{
    Answer, Settings,
    demand::IDLE_LIMIT,
    link::{BACKOFF_BASE, BACKOFF_MAX},
    testing::{GARBAGE, body, resource},
};

#[tokio::test(start_paused = true)]
async fn a_proxy_asks_for_its_listeners_and_for_what_they_refer_to() {
    let mut plane = Plane::start();
    let mut proxy = plane.proxy(settings());
    plane.first_stream().await.serve_shop().await;
    let resources = proxy.until(|resources| resources.warm).await;
    assert!(resources.listeners.contains_key("out") && resources.endpoints.contains_key("a"));
    let figures = proxy.handle.figures();
    assert_eq!((figures.connects, figures.acks, figures.nacks, figures.updates), (1, 3, 0, 3));
    assert!(figures.connected_since.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_serves_goes_on_without_the_control_plane_which_hears_of_it_when_it_is_back() {
    let mut plane = Plane::start();
    let mut proxy = plane.proxy(settings());
    let mut stream = plane.first_stream().await;
    stream.serve_shop().await;
    let before = proxy.until(|resources| resources.warm).await;
    stream.fail(Status::unavailable("restarting")).await;
    let mut stream = plane.stream().await;
    assert_eq!(stream.request().await, "CDS node +a a@1");
    assert_eq!(stream.request().await, "EDS +a a@1");
    assert_eq!(stream.request().await, "LDS +* out@1");
    assert!(std::sync::Arc::ptr_eq(&before, &proxy.resources.borrow()), "nothing changed meanwhile");
    stream.good(Cluster, &[("a", "2", &[])]).await;
    assert_eq!(stream.request().await, "EDS -a");
    let after = proxy.until(|resources| resources.endpoints.is_empty()).await;
    assert!(after.clusters.contains_key("a"));
    assert_eq!((proxy.handle.figures().connects, proxy.handle.figures().failures), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn tries_come_with_growing_random_pauses_that_start_over_after_an_answer() {
    let mut plane = Plane::start();
    plane.cut(true);
    let _proxy = plane.proxy(settings());
    tokio::time::sleep(Duration::from_secs(300)).await;
    let dialled = plane.dialled();
    assert!(dialled.len() > 30, "{} tries in five minutes", dialled.len());
    let mut ceiling = BACKOFF_BASE;
    for pair in dialled.windows(2) {
        // The runtime's clock counts in milliseconds.
        assert!(pair[1] - pair[0] <= ceiling + Duration::from_millis(1), "{:?}", pair[1] - pair[0]);
        ceiling = (ceiling * 2).min(BACKOFF_MAX);
    }
    plane.cut(false);
    let mut stream = plane.first_stream().await;
    stream.good(Listener, &[]).await;
    assert_eq!(stream.request().await, "LDS ack 1");
    let ended = tokio::time::Instant::now();
    stream.fail(Status::unavailable("restarting")).await;
    plane.stream().await;
    assert!(ended.elapsed() <= BACKOFF_BASE + Duration::from_millis(1), "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_is_no_success() {
    let mut plane = Plane::start();
    let _proxy = plane.proxy(settings());
    for _ in 0..12 {
        plane.stream().await.fail(Status::unauthenticated("the token is expired")).await;
    }
    let dialled = plane.dialled();
    assert!(dialled[11] - dialled[0] > 8 * BACKOFF_BASE, "{:?}", dialled[11] - dialled[0]);
}

#[tokio::test(start_paused = true)]
async fn the_token_is_read_at_each_connect_and_without_it_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let mut plane = Plane::start();
    let _proxy = plane.proxy(Settings { token: Some(token.clone()), ..settings() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(plane.dialled().is_empty());
    fs::write(&token, "first\n").unwrap();
    let stream = plane.stream().await;
    assert_eq!(stream.authorization.as_deref(), Some("Bearer first"));
    fs::write(&token, "second\n").unwrap();
    stream.fail(Status::unavailable("restarting")).await;
    let stream = plane.stream().await;
    assert_eq!(stream.authorization.as_deref(), Some("Bearer second"));
}

#[tokio::test(start_paused = true)]
async fn a_nack_says_why_and_keeps_what_is_good() {
    let mut plane = Plane::start();
    let mut proxy = plane.proxy(settings());
    let mut stream = plane.first_stream().await;
    let good = resource(Listener, "in", "1", body(Listener, "in", &[]));
    let bad = resource(Listener, "out", "1", GARBAGE.to_vec());
    let type_url = Listener.type_url().into();
    stream.send(DeltaDiscoveryResponse { type_url, resources: vec![good, bad], ..Default::default() }).await;
    let nack = stream.request().await;
    assert!(nack.starts_with("LDS nack 1: LDS \"out\": "), "{nack}");
    let resources = proxy.until(|resources| resources.warm).await;
    assert!(matches!(resources.answer("in"), Answer::Serving(_)));
    assert!(matches!(resources.answer("out"), Answer::Unusable(_)));
    assert_eq!(proxy.handle.figures().nacks, 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_asked_for_on_demand_and_given_up_when_it_was_idle() {
    let mut plane = Plane::start();
    let mut proxy = plane.proxy(settings());
    let mut stream = plane.first_stream().await;
    stream.serve_shop().await;
    let handle = proxy.handle.clone();
    let wants = std::thread::spawn(move || {
        handle.want("out/1.2.3.4:80");
        handle.want("out/5.6.7.8:80");
    });
    // Time stands still only until all wait.
    wants.join().unwrap();
    assert_eq!(stream.request().await, "LDS +out/1.2.3.4:80 +out/5.6.7.8:80");
    stream.removed(Listener, "out/1.2.3.4:80").await;
    stream.good(Listener, &[("out/5.6.7.8:80", "1", &[])]).await;
    let resources = proxy.until(|resources| resources.listeners.len() == 2).await;
    assert!(matches!(resources.answer("out/1.2.3.4:80"), Answer::Absent));
    assert_eq!((stream.request().await, stream.request().await), ("LDS ack 4".into(), "LDS ack 5".into()));
    let asked = tokio::time::Instant::now();
    tokio::time::sleep(IDLE_LIMIT / 2).await;
    proxy.handle.want("out/5.6.7.8:80");
    assert_eq!(stream.request().await, "LDS -out/1.2.3.4:80");
    assert!(asked.elapsed() >= IDLE_LIMIT - Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(stream.request().await, "LDS -out/5.6.7.8:80");
    // It goes when the control plane says that `*` does not cover it.
    stream.removed(Listener, "out/5.6.7.8:80").await;
    proxy.until(|resources| resources.listeners.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_while_the_control_plane_is_away_is_asked_for_when_it_is_back() {
    let mut plane = Plane::start();
    plane.cut(true);
    let proxy = plane.proxy(settings());
    proxy.handle.want("out/1.2.3.4:80");
    tokio::time::sleep(Duration::from_secs(1)).await;
    plane.cut(false);
    assert_eq!(plane.stream().await.request().await, "LDS node +* +out/1.2.3.4:80");
}

#[tokio::test(start_paused = true)]
async fn a_large_response_is_no_surprise() {
    let mut plane = Plane::start();
    let mut proxy = plane.proxy(settings());
    let mut stream = plane.first_stream().await;
    let names: Vec<String> =
        (0..30_000).map(|number| format!("out/10.0.{}.{}:80", number / 250, number % 250)).collect();
    let all: Vec<_> = names.iter().map(|name| (&**name, "1", &[] as &[_])).collect();
    stream.good(Listener, &all).await;
    let resources = proxy.until(|resources| resources.warm).await;
    assert_eq!(resources.listeners.len(), 30_000);
}
