//! Versions of HTTP, of the client and as the port is declared.

use std::sync::Arc;

use anyhow::Result;

use super::{Scenario, scenario};
use crate::{
    backend::{Script, answer, http1, http2},
    client::{Ask, Version},
    message::Head,
    stage::Stage,
    world::Plan,
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("http1", Plan::new().app("cart", "http", http1(cart)), versions),
        scenario!("h2c", Plan::new().app("cart", "kubernetes.io/h2c", http2(cart)), versions),
        scenario!("grpc-port", Plan::new().app("cart", "grpc", http2(cart)), versions),
        scenario!("undeclared-http1", Plan::new().app("cart", "", http1(cart)), undeclared_http1).alone(),
        scenario!("undeclared-http2", Plan::new().app("cart", "", http2(cart)), undeclared_http2).alone(),
    ]
}

fn cart(head: &Head, _: usize) -> Script {
    match head.route() {
        "/echo" => Script::head(201).header("x-app", "cart").back(),
        "/empty" => Script::head(204).header("x-app", "cart"),
        _ => answer(200, "cart").header("server", "kettle/1.0").header("set-cookie", "a=1").header("set-cookie", "b=2"),
    }
}

const HEADERS: [(&str, &str); 8] = [
    ("user-agent", "spoon/2"),
    ("accept", "tea/*"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-request-id", "not-a-uuid"),
    ("x-custom", "one"),
    ("x-custom", "two"),
    ("cookie", "a=1; b=2"),
    ("authorization", "Bearer of-good-news"),
];

fn with_headers(ask: Ask) -> Ask {
    HEADERS.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

async fn versions(stage: Arc<Stage>) -> Result<()> {
    undeclared_http1(Arc::clone(&stage)).await?;
    undeclared_http2(stage).await
}

async fn undeclared_http1(stage: Arc<Stage>) -> Result<()> {
    each_method(&stage, Version::Http11).await;
    stage.ask(Ask::get("/").version(Version::Http10).watching()).await;
    Ok(())
}

async fn undeclared_http2(stage: Arc<Stage>) -> Result<()> {
    each_method(&stage, Version::Http2).await;
    Ok(())
}

async fn each_method(stage: &Stage, version: Version) {
    let ask = |method: &str, path: &str| Ask::new(method, path).version(version);
    stage.ask(with_headers(ask("GET", "/a//b/../c%2Fd%20?q=%20&q=2"))).await;
    stage.ask(ask("GET", "/").host("Any.Host:99")).await;
    stage.ask(ask("POST", "/echo").body("some text")).await;
    stage.ask(ask("PUT", "/echo").body("in ").body("pieces").called(&format!("pieces {version:?}"))).await;
    stage.ask(ask("DELETE", "/empty")).await;
    stage.ask(ask("HEAD", "/")).await;
    stage.ask(ask("OPTIONS", "/")).await;
    stage.ask(ask("PATCH", "/echo").body("")).await;
}
