//! A client with a sidecar and services whose Pods stand outside the mesh: what routing needs, in one Envoy.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;

use crate::{
    app::{App, Asked, Reply, reply},
    http::{self, Answer},
    mesh::Mesh,
    objects::{Pod, service},
    sidecar::Sidecar,
};

/// `shop/web-1` with a sidecar, and Services of namespace `shop` with one Pod each.
#[derive(Debug)]
pub struct Shop {
    /// The control plane.
    pub mesh: Mesh,
    /// The Pod of the client.
    pub web: Pod,
    /// Its sidecar.
    pub client: Sidecar,
    /// The applications by the names of their Services.
    pub apps: HashMap<String, App>,
}

impl Shop {
    /// With these Services, whose applications answer with their names, and these files beside them.
    pub async fn start(services: &[&str], files: &[(&str, String)]) -> Result<Self> {
        let apps = services.iter().map(|name| {
            let body = (*name).to_owned();
            Backend::new(name, "http", move |_: &Asked| reply(200, body.clone()))
        });
        Self::with(apps.collect(), files).await
    }

    /// With these applications, and these files beside them. The client calls port 80 of each.
    pub async fn with(backends: Vec<Backend>, files: &[(&str, String)]) -> Result<Self> {
        let mut all = files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect::<Vec<_>>();
        let mut web = Pod::new("shop", "web-1", "web");
        let mut apps = HashMap::new();
        for Backend { name, protocol, answer } in backends {
            web = web.calling(&format!("{name}.shop:80"));
            let pod = Pod::new("shop", &format!("{name}-1"), &name);
            let at = SocketAddr::new(pod.ip(), 8080);
            let app = match protocol {
                "http" => App::at(at, answer).await?,
                _ => App::http2_at(at, answer).await?,
            };
            all.push((format!("{name}.yaml"), service("shop", &name, protocol, 80, 8080)));
            all.push((pod.file(), pod.yaml()));
            apps.insert(name, app);
        }
        all.push((web.file(), web.yaml()));
        let files: Vec<_> = all.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let mesh = Mesh::start(&files).await?;
        let client = Sidecar::start(&mesh, &web.workload()).await?;
        Ok(Self { mesh, web, client, apps })
    }

    /// Where the client's application calls port 80 of a Service.
    pub fn upstream(&self, service: &str) -> SocketAddr {
        self.web.upstream(&format!("{service}.shop:80"))
    }

    /// A request of the client's application to port 80 of a Service.
    pub async fn get(&self, service: &str, path: &str) -> Result<Answer> {
        http::get(self.upstream(service), &format!("{service}.shop"), path).await
    }

    /// A request of the client's application, with all that belongs to one.
    pub async fn send(&self, method: Method, service: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        http::send(self.upstream(service), method, &format!("{service}.shop"), path, headers, Bytes::new()).await
    }

    /// What the application of a Service was asked since the last call of this.
    pub fn take_asked(&self, service: &str) -> Vec<Asked> {
        self.apps[service].take_asked()
    }
}

/// An application of a [`Shop`].
pub struct Backend {
    name: String,
    protocol: &'static str,
    answer: Box<dyn Fn(&Asked) -> Reply + Send + Sync>,
}

impl Backend {
    /// Service `name`, whose port 80 is declared to speak `protocol` (`http`, or one that means HTTP/2).
    pub fn new(name: &str, protocol: &'static str, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), protocol, answer: Box::new(answer) }
    }
}
