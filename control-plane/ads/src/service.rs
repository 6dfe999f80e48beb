//! The gRPC services: discovery, aggregated and one for each type, all on the same stream; and load reports.

use std::{
    convert::Infallible,
    marker::PhantomData,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use byrnie_proto::{
    Kind,
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
};
use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use tonic::{
    Request, Status, body::Body, codegen::Service, metadata::MetadataMap, server::NamedService, service::Routes,
    transport::Server,
};

use crate::{
    body::ResponseBody,
    entrance::Door,
    gate::Gate,
    hub::Hub,
    incoming::Incoming,
    load::{LoadStream, Loads},
    requests::Requests,
    secret::Secrets,
    shared::Shared,
    stream::DiscoveryStream,
};

/// A client that does not answer a ping for this long is gone.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The xDS server.
#[derive(Clone)]
pub struct Ads {
    shared: Arc<Shared>,
    loads: Arc<Loads>,
}

impl Ads {
    /// Serves what `hub` shows to whom `gate` lets in, and puts into `loads` what clients report.
    pub fn new(hub: Arc<Hub>, loads: Arc<Loads>, gate: impl Gate, secrets: impl Secrets) -> Self {
        Self { shared: Arc::new(Shared { hub, gate: Box::new(gate), secrets: Box::new(secrets) }), loads }
    }

    /// All services, to be served beside others: `tuned(Server::builder()).add_routes(ads.routes())`.
    pub fn routes(&self) -> Routes {
        Routes::new(self.service::<Aggregated>())
            .add_service(self.service::<Clusters>())
            .add_service(self.service::<Endpoints>())
            .add_service(self.service::<Listeners>())
            .add_service(self.service::<RouteConfigurations>())
            .add_service(self.service::<SecretsByType>())
            .add_service(LoadReporting { shared: self.shared.clone(), loads: self.loads.clone() })
    }

    fn service<A: Api>(&self) -> Discovery<A> {
        Discovery { shared: self.shared.clone(), api: PhantomData }
    }
}

/// Sets what long-lived discovery streams need: dead clients are found by pings, small pushes are sent at once.
pub fn tuned(server: Server) -> Server {
    server.http2_keepalive_interval(Some(KEEPALIVE)).http2_keepalive_timeout(Some(KEEPALIVE)).tcp_nodelay(true)
}

/// One of the services of `envoy/service/*/v3/*ds.proto`.
trait Api: Send + Sync + 'static {
    const NAME: &'static str;
    /// The last words of its methods: `Stream…`, `Delta…`, `Fetch…`.
    const METHODS: [&'static str; 3];
    /// Its only kind.
    const ONLY: Option<Kind>;
}

macro_rules! api {
    ($name:ident, $service:literal, $only:expr, $stream:literal, $delta:literal, $fetch:literal) => {
        struct $name;

        impl Api for $name {
            const NAME: &'static str = $service;
            const METHODS: [&'static str; 3] = [$stream, $delta, $fetch];
            const ONLY: Option<Kind> = $only;
        }
    };
}

api! {
    Aggregated, "envoy.service.discovery.v3.AggregatedDiscoveryService", None,
    "StreamAggregatedResources", "DeltaAggregatedResources", ""
}
api! {
    Clusters, "envoy.service.cluster.v3.ClusterDiscoveryService", Some(Kind::Cluster),
    "StreamClusters", "DeltaClusters", "FetchClusters"
}
api! {
    Endpoints, "envoy.service.endpoint.v3.EndpointDiscoveryService", Some(Kind::Endpoints),
    "StreamEndpoints", "DeltaEndpoints", "FetchEndpoints"
}
api! {
    Listeners, "envoy.service.listener.v3.ListenerDiscoveryService", Some(Kind::Listener),
    "StreamListeners", "DeltaListeners", "FetchListeners"
}
api! {
    RouteConfigurations, "envoy.service.route.v3.RouteDiscoveryService", Some(Kind::Route),
    "StreamRoutes", "DeltaRoutes", "FetchRoutes"
}
api! {
    SecretsByType, "envoy.service.secret.v3.SecretDiscoveryService", Some(Kind::Secret),
    "StreamSecrets", "DeltaSecrets", "FetchSecrets"
}

/// One service.
struct Discovery<A> {
    shared: Arc<Shared>,
    api: PhantomData<A>,
}

impl<A> Clone for Discovery<A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), api: PhantomData }
    }
}

impl<A: Api> NamedService for Discovery<A> {
    const NAME: &'static str = A::NAME;
}

impl<A: Api> Service<http::Request<Body>> for Discovery<A> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let [stream, delta, fetch] = A::METHODS;
        let shared = self.shared.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        if method == stream {
            std::future::ready(Ok(serve::<DiscoveryRequest>(shared, A::ONLY, request)))
        } else if method == delta {
            std::future::ready(Ok(serve::<DeltaDiscoveryRequest>(shared, A::ONLY, request)))
        } else {
            let known = !fetch.is_empty() && method == fetch;
            let why = if known { "polling is not served" } else { "there is no such method" };
            let status = Status::unimplemented(format!("{}/{method}: {why}; {stream} and {delta} are", A::NAME));
            std::future::ready(Ok(status.into_http()))
        }
    }
}

/// `envoy/service/load_stats/v3/lrs.proto`
#[derive(Clone)]
struct LoadReporting {
    shared: Arc<Shared>,
    loads: Arc<Loads>,
}

impl NamedService for LoadReporting {
    const NAME: &'static str = "envoy.service.load_stats.v3.LoadReportingService";
}

impl Service<http::Request<Body>> for LoadReporting {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        if method != "StreamLoadStats" {
            let why = format!("{}/{method}: there is no such method; StreamLoadStats is", Self::NAME);
            return std::future::ready(Ok(Status::unimplemented(why).into_http()));
        }
        let (door, body) = open(request);
        let stream = LoadStream::new(self.shared.clone(), self.loads.clone(), Requests::new(body), door);
        std::future::ready(Ok(response(ResponseBody::new(stream))))
    }
}

fn serve<R: Incoming>(shared: Arc<Shared>, only: Option<Kind>, request: http::Request<Body>) -> http::Response<Body> {
    let (door, body) = open(request);
    response(ResponseBody::new(DiscoveryStream::new(shared, Requests::<R>::new(body), only, door)))
}

/// What is known of a caller, and what it says.
fn open(request: http::Request<Body>) -> (Door, Body) {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(MetadataMap::from_headers(head.headers), head.extensions, ());
    // A socket that takes both families writes IPv4 as IPv6 (RFC 4291, section 2.5.5.2).
    let peer = request.remote_addr().map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let (metadata, extensions, ()) = request.into_parts();
    (Door { metadata, extensions, peer }, body)
}

fn response(body: impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
pub(crate) mod tests;
