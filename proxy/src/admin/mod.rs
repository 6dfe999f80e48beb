//! The pages of the admin port, by Envoy's paths where it has such a page.

pub mod clusters;
pub mod config_dump;
pub mod figures;
mod life;
mod logging;
mod query;

use std::{sync::Arc, time::SystemTime};

use byrnie_runtime::{
    admin::{Reply, Routes},
    logs::Levels,
    metrics::{self, Metrics},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::config_dump::{Dump, Updated};
pub use self::life::Asks;
use crate::{identity::Current, shared::Shared};

/// What is waited for before the proxy is ready.
pub type Waits = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// `NAMESPACE/POD`
    pub node: Arc<str>,
    /// When the process started.
    pub started: SystemTime,
    /// What the two halves have in common.
    pub shared: Arc<Shared>,
    /// What the control plane sent.
    pub xds: byrnie_xds::Handle,
    /// When it did.
    pub updated: Arc<Updated>,
    /// Who this is.
    pub identity: Arc<Current>,
    /// What is waited for before the proxy is ready.
    pub waits: Waits,
    /// What the pages ask of the process.
    pub asks: Asks,
    /// Everything that is counted.
    pub metrics: Metrics,
    /// What is logged.
    pub levels: Levels,
}

/// The one page that is served beyond loopback: a kubelet asks it.
pub fn health(pages: &Pages) -> Routes {
    let mut routes = Routes::default();
    life::add_ready(&mut routes, &pages.shared, &pages.waits);
    routes
}

/// All pages.
pub fn routes(pages: &Pages) -> Routes {
    let mut routes = Routes::default();
    life::add_ready(&mut routes, &pages.shared, &pages.waits);
    life::add_asks(&mut routes, &pages.asks);
    let of = pages.clone();
    let about =
        "what the control plane sent, as it is in force; ?resource=dynamic_active_clusters and its like for one list";
    routes.add(Method::GET, "/config_dump", about, move |asked| {
        let reply = of.config_dump(&asked.query);
        async { reply }
    });
    let of = Arc::clone(&pages.shared);
    routes.add(Method::GET, "/clusters", "endpoints, their health and load; ?format=json", move |asked| {
        let config = of.config.load();
        let reply = match query::value(&asked.query, "format").as_deref() {
            Some("json") => json_page(&clusters::json(&config)),
            _ => Reply::text(StatusCode::OK, clusters::text(&config)),
        };
        async { reply }
    });
    let of = Arc::clone(&pages.identity);
    routes.add(Method::GET, "/certs", "the own certificate and the roots, without keys", move |_| {
        let page = of.load().map(|identity| identity.page(SystemTime::now()));
        async move { json_page(&page.unwrap_or_else(|| json!({ "certificates": [] }))) }
    });
    for path in ["/stats", "/stats/prometheus", "/metrics"] {
        let metrics = pages.metrics.clone();
        routes.add(Method::GET, path, "all metrics as OpenMetrics text", move |_| {
            let body = metrics.encode();
            async move { Reply { status: StatusCode::OK, content_type: metrics::CONTENT_TYPE, body: body.into() } }
        });
    }
    let levels = pages.levels.clone();
    let about = "what is logged: ?level=debug, ?byrnie_xds=trace; without a query tells what is in force";
    routes.add(Method::POST, "/logging", about, move |asked| {
        let reply = logging::change(&levels, &asked.query);
        async { reply }
    });
    routes
}

impl Pages {
    fn config_dump(&self, asked: &str) -> Reply {
        let resources = Arc::clone(&self.xds.resources().borrow());
        let identity = self.identity.load();
        let dump = Dump {
            resources: &resources,
            updated: &self.updated,
            identity: identity.as_deref(),
            node: &self.node,
            started: self.started,
        };
        match query::value(asked, "resource") {
            None => json_page(&dump.whole()),
            Some(name) => match dump.section(&name) {
                Some(section) => json_page(&section),
                None => Reply::text(StatusCode::NOT_FOUND, format!("{name} not found in config dump\n")),
            },
        }
    }
}

fn json_page(page: &Value) -> Reply {
    Reply::json(format!("{page:#}\n"))
}
