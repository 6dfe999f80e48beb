//! The admin pages of the control half.

use std::sync::Arc;

use byrnie_runtime::admin::{Reply, Routes};
use http::{Method, StatusCode};
use tokio::sync::{Notify, watch};

use super::readiness::Waiting;
use crate::shared::{Shared, Stage};

/// What the pages ask of the process.
#[derive(Clone, Default)]
pub struct Asks {
    /// `POST /drain`
    pub drain: Arc<Notify>,
    /// `POST /quitquitquit`
    pub quit: Arc<Notify>,
}

/// Adds `/ready`, `/drain` and `/quitquitquit`.
pub fn add_pages(routes: &mut Routes, shared: &Arc<Shared>, waiting: watch::Receiver<Vec<Waiting>>, asks: &Asks) {
    let of = Arc::clone(shared);
    routes.add(
        Method::GET,
        "/ready",
        "200 LIVE when warm, 503 with what is waited for before, and once draining",
        move |_| {
            let reply = ready(of.stage(), &waiting.borrow());
            async move { reply }
        },
    );
    let drain = Arc::clone(&asks.drain);
    routes.add(
        Method::POST,
        "/drain",
        "finish connections: GOAWAY, connection: close; new ones are still taken",
        move |_| {
            drain.notify_one();
            async { Reply::text(StatusCode::OK, "DRAINING\n") }
        },
    );
    let quit = Arc::clone(&asks.quit);
    routes.add(Method::POST, "/quitquitquit", "drain, then end, as SIGTERM does", move |_| {
        quit.notify_one();
        async { Reply::text(StatusCode::OK, "OK\n") }
    });
}

fn ready(stage: Stage, waiting: &[Waiting]) -> Reply {
    if stage != Stage::Running {
        return Reply::text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n");
    }
    if waiting.is_empty() {
        return Reply::text(StatusCode::OK, "LIVE\n");
    }
    let waiting = waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("INITIALIZING: waiting for {waiting}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_live_only_while_warm_and_running() {
        assert_eq!(ready(Stage::Running, &[]).status, StatusCode::OK);
        assert_eq!(ready(Stage::Draining, &[]).status, StatusCode::SERVICE_UNAVAILABLE);
        let reply = ready(Stage::Running, &[Waiting::Configuration, Waiting::Certificate]);
        assert_eq!(reply.body, "INITIALIZING: waiting for configuration, certificate\n");
    }
}
