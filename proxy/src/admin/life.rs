//! Pages of the process's life: whether it may be sent traffic, and how it is asked to end.

use std::sync::Arc;

use byrnie_runtime::admin::{Reply, Routes};
use http::{Method, StatusCode};
use tokio::sync::Notify;

use super::Waits;
use crate::shared::{Shared, Stage};

/// What the pages ask of the process.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// `POST /drain`
    pub drain: Arc<Notify>,
    /// `POST /quitquitquit`
    pub quit: Arc<Notify>,
}

/// Adds `/ready` and its alias.
pub fn add_ready(routes: &mut Routes, shared: &Arc<Shared>, waits: &Waits) {
    for path in ["/ready", "/healthz/ready"] {
        let (of, waits) = (Arc::clone(shared), Arc::clone(waits));
        let about = "200 LIVE when warm, 503 with what is waited for before, and once draining";
        routes.add(Method::GET, path, about, move |_| {
            let reply = ready(of.stage(), &waits());
            async move { reply }
        });
    }
}

/// Adds `/drain` and `/quitquitquit`.
pub fn add_asks(routes: &mut Routes, asks: &Asks) {
    let drain = Arc::clone(&asks.drain);
    let about = "finish connections: GOAWAY, connection: close; new ones are still taken";
    routes.add(Method::POST, "/drain", about, move |_| {
        drain.notify_one();
        async { Reply::text(StatusCode::OK, "DRAINING\n") }
    });
    let quit = Arc::clone(&asks.quit);
    routes.add(Method::POST, "/quitquitquit", "drain, then end, as SIGTERM does", move |_| {
        quit.notify_one();
        async { Reply::text(StatusCode::OK, "OK\n") }
    });
}

fn ready(stage: Stage, waiting: &[String]) -> Reply {
    if stage != Stage::Running {
        return Reply::text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n");
    }
    if waiting.is_empty() {
        return Reply::text(StatusCode::OK, "LIVE\n");
    }
    Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("INITIALIZING: waiting for {}\n", waiting.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_live_only_while_warm_and_running() {
        assert_eq!(ready(Stage::Running, &[]).status, StatusCode::OK);
        assert_eq!(ready(Stage::Draining, &[]).status, StatusCode::SERVICE_UNAVAILABLE);
        let reply = ready(Stage::Running, &["configuration".to_owned(), "certificate".to_owned()]);
        assert_eq!(reply.body, "INITIALIZING: waiting for configuration, certificate\n");
    }
}
