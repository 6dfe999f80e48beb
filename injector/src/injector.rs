//! The process: what it is started with, what it binds, and its end.

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use byrnie_keeper::{Current, Keeper, Source, Stored};
use byrnie_runtime::{
    admin::{self, Limits, Reply, Routes},
    heap,
    listen::{self, BindError},
    metrics::{CONTENT_TYPE, Metrics},
    shutdown::{Drain, Signals},
};
use byrnie_source::{Access, AccessError, Cluster};
use http::{Method, StatusCode};
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep,
};
use tracing::info;

use crate::{
    certificate::{Certificate, Expiry},
    mesh::Mesh,
    server::{Answer, Server},
    settings::Settings,
    steward::{Installation, Readiness, Steward},
    trial::QUERY,
    webhook::{Caller, Webhook},
};

/// For what still runs at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The Service by which the API server calls.
const SERVICE: &str = "byrnie-injector";

/// What an injector is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The API server.
    pub access: Access,
    /// Where reviews are answered, by TLS.
    pub address: SocketAddr,
    /// Health and metrics, by plain HTTP.
    pub probe_address: SocketAddr,
    /// `NAMESPACE/POD`, as which the injector asks for its certificate.
    pub workload: String,
    /// `HOST:PORT` of the control plane.
    pub xds_address: String,
    /// Proves who this is.
    pub token_file: PathBuf,
    /// The roots that the control plane is proven by, PEM.
    pub roots_file: PathBuf,
    /// A folder for certificate and key: by them a restart answers while the control plane is away.
    pub state: Option<PathBuf>,
    /// The MutatingWebhookConfiguration by which the API server calls.
    pub configuration: Arc<str>,
    /// How long it answers after a signal, until the API server knows that it is going.
    pub drain_delay: Duration,
    /// What is injected.
    pub settings: Settings,
}

/// An injector that can serve: its ports are bound.
#[derive(Debug)]
pub struct Injector {
    options: Options,
    cluster: Cluster,
    webhook: TcpListener,
    probes: TcpListener,
    signals: Signals,
}

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port that cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The API server, or rather what leads to it.
    #[error("no API server")]
    Kubernetes(#[from] AccessError),
    /// A namespace that no Service can be in.
    #[error("--namespace {namespace}: the name of a namespace is accepted")]
    Namespace {
        /// What was given.
        namespace: String,
        /// Why it is none.
        source: InvalidDnsNameError,
    },
    /// A place that nothing can be kept in.
    #[error("--state {}: a directory that this user may write to is accepted", path.display())]
    State {
        /// What was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// TLS cannot be spoken at all.
    #[error("cannot serve TLS")]
    Tls(#[from] rustls::Error),
    /// The operating system refused.
    #[error("the operating system refused")]
    System(#[from] io::Error),
}

/// The webhook behind its server.
struct Behind(Arc<Webhook>);

impl Injector {
    /// Binds every port; answers nothing yet.
    pub async fn build(options: Options) -> Result<Self, StartError> {
        let signals = Signals::register()?;
        if let Some(path) = &options.state {
            fs::create_dir_all(path).map_err(|source| StartError::State { path: path.clone(), source })?;
        }
        let webhook = listen::bind("webhook", "--address", options.address).await?;
        let probes = listen::bind("probe", "--probe-address", options.probe_address).await?;
        let cluster = Cluster::connect(&options.access).await?;
        Ok(Self { options, cluster, webhook, probes, signals })
    }

    /// Serves until a signal comes, then ends in order: not ready, a while of answers, the end of connections.
    pub async fn serve(self) -> Result<(), StartError> {
        let Self { options, cluster, webhook, probes, mut signals } = self;
        let (drain, metrics, current) = (Drain::new(), Metrics::new(), Arc::new(Current::new()));
        metrics.collect(Expiry(Arc::clone(&current)));
        let installation = options.installation(webhook.local_addr()?)?;
        info!(webhook = %webhook.local_addr()?, probes = %probes.local_addr()?, name = %installation.name.to_str(), "starting");

        let (told, readiness) = watch::channel::<Readiness>(Err("it has just started".into()));
        let (ending, is_ending) = watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut mesh = Mesh::follow(&cluster, options.settings.clone());
        let steward = Steward::follow(&cluster, installation, Arc::clone(&current), &metrics, told);
        let answers = Arc::new(Webhook::new(&cluster, mesh.settings(), &metrics));
        let mut background = JoinSet::new();
        background.spawn(admin::serve(probes, routes(metrics, readiness, is_ending), Limits::default(), stopped));
        background.spawn(heap::keep());
        let stored = options.state.as_deref().map(Stored::new);
        background.spawn(Keeper::new(options.source(), stored, Arc::clone(&current)).run());
        background.spawn(steward.keep());
        // Nothing is answered by less than all that is known.
        tokio::select! {
            () = mesh.known() => (),
            signal = signals.next() => {
                info!(signal, "ended before it served");
                return Ok(());
            }
        }
        background.spawn(mesh.keep());
        let server = Server::new(webhook, Certificate::config(current)?, Behind(answers));
        drop(drain.spawn(server.serve(drain.watch())));

        let signal = tokio::select! {
            signal = signals.next() => signal,
            Some(ended) = background.join_next() => match ended {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => unreachable!("what runs beside the server ends after it"),
            },
        };
        info!(signal, delay = ?options.drain_delay, "not ready any more; draining");
        ending.send_replace(true);
        tokio::select! { () = sleep(options.drain_delay) => (), _ = signals.next() => () }
        drain.finish(DRAIN_LIMIT, signals.next()).await;
        drop(stop);
        Ok(())
    }
}

impl Options {
    fn installation(&self, mut address: SocketAddr) -> Result<Installation, StartError> {
        if address.ip().is_unspecified() {
            let loopback: [std::net::IpAddr; 2] = [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
            address.set_ip(loopback[usize::from(address.is_ipv6())]);
        }
        let namespace = &self.settings.namespace;
        let name = ServerName::try_from(format!("{SERVICE}.{namespace}.svc"))
            .map_err(|source| StartError::Namespace { namespace: namespace.clone(), source })?;
        Ok(Installation {
            namespace: namespace.as_str().into(),
            configuration: Arc::clone(&self.configuration),
            name,
            address,
        })
    }

    fn source(&self) -> Source {
        Source {
            workload: self.workload.clone(),
            address: self.xds_address.clone(),
            roots_file: Some(self.roots_file.clone()),
            token_file: self.token_file.clone(),
        }
    }
}

impl Answer for Behind {
    async fn answer(&self, query: Option<&str>, body: &[u8]) -> Reply {
        let caller = if query == Some(QUERY) { Caller::Own } else { Caller::Other };
        match self.0.answer(body, caller).await {
            Ok(answer) => Reply::json(answer),
            Err(malformed) => Reply::text(StatusCode::BAD_REQUEST, format!("{malformed}\n")),
        }
    }
}

/// The pages for a kubelet and for Prometheus.
fn routes(metrics: Metrics, readiness: watch::Receiver<Readiness>, is_ending: watch::Receiver<bool>) -> Routes {
    let mut routes = Routes::default();
    routes.add(Method::GET, "/healthz", "200 while the process answers", |_| async {
        Reply::text(StatusCode::OK, "live\n")
    });
    routes.add(
        Method::GET,
        "/readyz",
        "200 while the API server would be answered, 503 with what is wrong",
        move |_| {
            let now = if *is_ending.borrow() { Err("it is ending".into()) } else { readiness.borrow().clone() };
            async move {
                match now {
                    Ok(()) => Reply::text(StatusCode::OK, "ready\n"),
                    Err(why) => Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
                }
            }
        },
    );
    routes.add(Method::GET, "/metrics", "OpenMetrics text", move |_| {
        let body = metrics.encode();
        async move { Reply { status: StatusCode::OK, content_type: CONTENT_TYPE, body: body.into() } }
    });
    routes
}
