//! The smallest mesh: `shop/web-1` calls Service `shop/cart`, whose one Pod is `shop/cart-1`, each with a sidecar.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;

use crate::{
    http::{self, Answer},
    mesh::Mesh,
    objects::{Pod, service},
    sidecar::{Proxy, Sidecar},
};

/// The port of the Service `cart`.
pub const CART: &str = "cart.shop:80";

/// Two sidecars and the control plane.
#[derive(Debug)]
pub struct Pair {
    /// The control plane.
    pub mesh: Mesh,
    /// The Pod of the client.
    pub web: Pod,
    /// The Pod of the server, which listens on port 8080.
    pub cart: Pod,
    /// The sidecar of the client.
    pub client: Sidecar,
    /// The sidecar of the server.
    pub server: Sidecar,
}

impl Pair {
    /// With a port 80 that is declared to speak `protocol` (empty: undeclared), in front of `application`.
    pub async fn start(protocol: &str, application: SocketAddr) -> Result<Self> {
        Self::with_service(&service("shop", "cart", protocol, 80, 8080), CART, application).await
    }

    /// As [`start`](Self::start), with sidecars of these kinds: the client's, then the server's.
    pub async fn of(kinds: [Proxy; 2], protocol: &str, application: SocketAddr) -> Result<Self> {
        Self::build(kinds, &service("shop", "cart", protocol, 80, 8080), CART, application).await
    }

    /// With a Service `cart` of which the client calls `port`.
    pub async fn with_service(service: &str, port: &str, application: SocketAddr) -> Result<Self> {
        Self::build([Proxy::Envoy; 2], service, port, application).await
    }

    async fn build(kinds: [Proxy; 2], service: &str, port: &str, application: SocketAddr) -> Result<Self> {
        let web = Pod::new("shop", "web-1", "web").calling(port);
        let cart = Pod::new("shop", "cart-1", "cart").serving(8080, application);
        let files = [("cart.yaml", service.to_owned()), (&*web.file(), web.yaml()), (&*cart.file(), cart.yaml())];
        let mesh = Mesh::start(&files).await?;
        let server = Sidecar::of(kinds[1], &mesh, &cart.workload()).await?;
        let client = Sidecar::of(kinds[0], &mesh, &web.workload()).await?;
        Ok(Self { mesh, web, cart, client, server })
    }

    /// Where the client's application calls port 80 of `cart`.
    pub fn upstream(&self) -> SocketAddr {
        self.web.upstream(CART)
    }

    /// Where the server's sidecar listens, for those outside the mesh too.
    pub fn inbound(&self) -> SocketAddr {
        SocketAddr::new(self.cart.ip(), 8080)
    }

    /// A request of the client's application.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        http::get(self.upstream(), "cart.shop", path).await
    }

    /// A request of the client's application, with all that belongs to one.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Result<Answer> {
        http::send(self.upstream(), method, "cart.shop", path, headers, Bytes::from_static(body.as_bytes())).await
    }
}
