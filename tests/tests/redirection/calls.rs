//! Calls from a Pod, and what the caller is told.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use byrnie_tests::{http, tcp};
use hyper::{Method, body::Bytes};
use tokio::time::timeout;

use crate::{
    names::{ECHO, GREETING, GREETS, GRPC, HTTP},
    pod::Pod,
};

/// Whether there is an answer is known long before.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a call is not answered.
pub const NONE: &str = "none";
/// Who asks, as the application sees it, where there is no certificate.
pub const SOMEBODY: &str = "somebody";

/// How an application speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Http,
    Grpc,
    /// The client speaks first.
    Tcp,
    /// The server does, and its port is not declared.
    Greeted,
}

/// Every port of a Service, and of the Pod behind it.
pub const PORTS: [(u16, u16, Speech); 5] = [
    (80, HTTP, Speech::Http),
    (81, GRPC, Speech::Grpc),
    (82, ECHO, Speech::Tcp),
    (83, GREETS, Speech::Greeted),
    // Not declared: the sidecar has to find out.
    (84, HTTP, Speech::Http),
];

/// What the caller, a process of this user, is told: the application's answer, or why there is none.
pub fn call(caller: &Pod, user: u32, to: SocketAddr, speech: Speech) -> String {
    let limited = async { timeout(LIMIT, answer(to, speech)).await.context("within 10 s")? };
    caller.run(user, limited).unwrap_or_else(|error| format!("none: {error:#}"))
}

async fn answer(to: SocketAddr, speech: Speech) -> Result<String> {
    let answer = match speech {
        Speech::Http => http::get(to, "app.shop", "/").await?,
        Speech::Grpc => {
            let headers = [("content-type", "application/grpc"), ("te", "trailers")];
            http::send_http2(to, Method::POST, "app.shop", "/shop.App/Ask", &headers, Bytes::new()).await?
        }
        Speech::Tcp => return Ok(String::from_utf8(tcp::exchange(to, b"ping", 4).await?)?),
        Speech::Greeted => return Ok(String::from_utf8(tcp::exchange(to, b"", GREETING.len()).await?)?),
    };
    match (answer.status, answer.trailer("grpc-status")) {
        (200, None | Some("0")) => Ok(answer.body),
        (status, code) => bail!("{status} {code:?} {} {:?}", answer.body, answer.headers),
    }
}

/// The same for an answer that is expected of `server`, as asked by `who`.
pub fn answer_of(server: &Pod, who: &str, speech: Speech) -> String {
    match speech {
        Speech::Http | Speech::Grpc => format!("{} asked by {who}", server.name()),
        Speech::Tcp => "ping".to_owned(),
        Speech::Greeted => GREETING.to_owned(),
    }
}
