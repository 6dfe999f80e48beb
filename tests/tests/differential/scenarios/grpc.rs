//! gRPC: its four kinds of calls, its errors, and the proxies' errors in its form.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use h2::Reason;

use super::{Scenario, scenario};
use crate::{
    backend::{App, Script, answer, http2},
    client::{Ask, http2::Connection},
    message::{Answer, Head, grpc},
    stage::Stage,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("grpc-calls", Plan::new().app("cart", "grpc", http2(shop)), calls),
        scenario!("grpc-undeclared", Plan::new().app("cart", "", http2(shop)), calls).alone(),
        scenario!("grpc-bidi", Plan::new().app("cart", "grpc", http2(shop)), both_ways),
        scenario!("grpc-cancel", Plan::new().app("cart", "grpc", http2(shop)), cancelled),
        scenario!("grpc-timeout", Plan::new().app("cart", "grpc", http2(shop)), with_timeout),
        scenario!("grpc-timeout-not-one", Plan::new().app("cart", "grpc", http2(shop)), with_no_timeout),
        scenario!("grpc-timeout-types", Plan::new().app("cart", "grpc", http2(shop)), with_timeout_of_others),
        scenario!("grpc-timeout-unfinished", Plan::new().app("cart", "grpc", http2(shop)), unfinished),
        scenario!("grpc-timeout-and-others", limited(), with_others),
        scenario!("grpc-no-route", no_route(), one_call),
        scenario!("grpc-no-endpoints", Plan::new().service("cart", "grpc", Vec::new()), one_call),
        scenario!("grpc-connect-failure", Plan::new().app("cart", "grpc", App::Absent), one_call),
        scenario!(
            "grpc-connect-failure-plain",
            Plan::new().service("cart", "grpc", vec![(Place::Plain, App::Absent)]),
            one_call
        ),
        scenario!("grpc-request-timeout", timed_out(), one_call),
        scenario!("grpc-over-http1", Plan::new().app("cart", "http", crate::backend::http1(shop)), calls),
        scenario!("grpc-route", grpc_route(), routed),
    ]
}

fn shop(head: &Head, _: usize) -> Script {
    let begun = Script::head(200).header("content-type", "application/grpc");
    match head.route() {
        "/shop.Cart/Unary" => begun.data(grpc(b"pong")).trailers(&[("grpc-status", "0"), ("x-end", "yes")]),
        "/shop.Cart/Server" => {
            let pause = Duration::from_millis(20);
            let begun = begun.data(grpc(b"one")).pause(pause).data(grpc(b"two")).pause(pause).data(grpc(b"three"));
            begun.trailers(&[("grpc-status", "0")])
        }
        "/shop.Cart/Bidi" => begun.echo().trailers(&[("grpc-status", "0")]),
        "/shop.Cart/TrailersOnly" => begun.header("grpc-status", "5").header("grpc-message", "no such cart"),
        "/shop.Cart/Fails" => begun.data(grpc(b"half")).trailers(&[("grpc-status", "13"), ("grpc-message", "a%20b")]),
        "/shop.Cart/NotGrpc" => answer(503, "<html>no</html>").header("content-type", "text/html"),
        "/shop.Cart/Reset" => begun.data(grpc(b"half")).pause(Duration::from_millis(50)).reset(Reason::INTERNAL_ERROR),
        "/shop.Cart/ResetBefore" => Script::silent().reset(Reason::INTERNAL_ERROR),
        "/shop.Cart/Hang" => begun.data(grpc(b"first")).hang(),
        "/shop.Cart/Silent" | "/shop.Short/Silent" | "/shop.Tries/Silent" => Script::silent().hang(),
        _ => begun.header("grpc-status", "12"),
    }
}

async fn calls(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::grpc("/shop.Cart/Unary", &[b"ping"]).header("x-meta", "data").header("bin-bin", "AAEC")).await;
    stage.ask(Ask::grpc("/shop.Cart/Unary", &[b"one", b"two", b"three"]).called("client streams")).await;
    stage.ask(Ask::grpc("/shop.Cart/Unary", &[])).await;
    for method in ["Server", "TrailersOnly", "Fails", "NotGrpc", "Reset", "ResetBefore", "Unknown"] {
        stage.ask(Ask::grpc(&format!("/shop.Cart/{method}"), &[b"ping"])).await;
    }
    Ok(())
}

async fn both_ways(stage: Arc<Stage>) -> Result<()> {
    let connection = Connection::open(stage.at("cart")).await?;
    let ask = Ask::grpc("/shop.Cart/Bidi", &[b""]);
    let mut answer = Answer::default();
    let mut call = connection.call(&ask, None, &mut answer).await.map_err(|end| anyhow!("{end}"))?;
    call.head().await.map_err(|end| anyhow!("no head before the first message: {end}"))?;
    for round in 1..=5 {
        call.send.send_data(grpc(format!("message {round}").as_bytes()), false)?;
        call.until(14 * round).await?;
    }
    call.send.send_data("".into(), true)?;
    call.finish().await;
    stage.exchange("five rounds", &answer).await;
    Ok(())
}

async fn cancelled(stage: Arc<Stage>) -> Result<()> {
    let connection = Connection::open(stage.at("cart")).await?;
    let ask = Ask::grpc("/shop.Cart/Hang", &[b""]);
    let mut answer = Answer::default();
    let mut call = connection.call(&ask, None, &mut answer).await.map_err(|end| anyhow!("{end}"))?;
    call.send.send_data(grpc(b"ping"), true)?;
    call.head().await.map_err(|end| anyhow!("{end}"))?;
    call.until(10).await?;
    call.send.send_reset(Reason::CANCEL);
    stage.exchange("cancel", &Answer::default()).await;
    Ok(())
}

async fn with_timeout(stage: Arc<Stage>) -> Result<()> {
    for value in ["900m", "899001u", "+900m", "0000000900m", "900 m"] {
        stage.ask_timed(silent(value), 890..=4000).await;
    }
    for (path, value) in [("/shop.Cart/Hang", "900m"), ("/shop.Cart/Unary", "5S")] {
        stage.ask(Ask::grpc(path, &[b"ping"]).header("grpc-timeout", value)).await;
    }
    Ok(())
}

fn silent(value: &str) -> Ask {
    let ask = Ask::grpc("/shop.Cart/Silent", &[b"ping"]).header("grpc-timeout", value);
    ask.called(&format!("grpc-timeout {value}"))
}

/// Values that are long, or none.
async fn with_no_timeout(stage: Arc<Stage>) -> Result<()> {
    for value in ["5S", "5M", "5H", "never", "300", "300mm", "-300m", "0.3S", "300000000n"] {
        stage.ask(silent(value).patience(Duration::from_millis(900))).await;
    }
    Ok(())
}

async fn with_timeout_of_others(stage: Arc<Stage>) -> Result<()> {
    for kind in ["application/grpc+proto", "application/grpc; charset=utf-8", "application/grpc-web", "text/plain"] {
        for ask in [Ask::post("/shop.Cart/Silent", "ping"), Ask::post("/shop.Cart/Silent", "ping").http2()] {
            let label = format!("{kind} {:?}", ask.version);
            stage.ask(ask.header("content-type", kind).header("grpc-timeout", "899001u").called(&label)).await;
        }
    }
    Ok(())
}

/// Calls whose client has not said all.
async fn unfinished(stage: Arc<Stage>) -> Result<()> {
    let connection = Connection::open(stage.at("cart")).await?;
    for (path, kind) in [
        ("/shop.Cart/Bidi", "application/grpc"),
        ("/shop.Cart/Silent", "application/grpc"),
        ("/shop.Cart/Silent", "text/plain"),
    ] {
        let ask = Ask::post(path, "").http2().header("content-type", kind).header("grpc-timeout", "900m");
        let mut answer = Answer::default();
        let mut call = connection.call(&ask, None, &mut answer).await.map_err(|end| anyhow!("{end}"))?;
        call.send.send_data(grpc(b"ping"), false)?;
        call.finish().await;
        stage.exchange(&format!("{path} {kind}"), &answer).await;
    }
    Ok(())
}

/// Beside a deadline of the call: a limit of the route, and one of each try.
fn limited() -> Plan {
    Plan::new().app("cart", "grpc", http2(shop)).route(
        "
- matches: [{path: {type: PathPrefix, value: /shop.Short}}]
  timeouts: {request: 900ms}
  backendRefs: [{name: $cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /shop.Tries}}]
  timeouts: {request: 10s, backendRequest: 900ms}
  retry: {attempts: 5, codes: [504], backoff: 10ms}
  backendRefs: [{name: $cart, port: 80}]
- timeouts: {request: 10s}
  backendRefs: [{name: $cart, port: 80}]
",
    )
}

async fn with_others(stage: Arc<Stage>) -> Result<()> {
    for (path, value) in [("/shop.Short/Silent", "5S"), ("/shop.Cart/Silent", "900m"), ("/shop.Tries/Silent", "1500m")]
    {
        let ask = Ask::grpc(path, &[b"ping"]).header("grpc-timeout", value);
        stage.ask_timed(ask, 890..=4000).await;
    }
    Ok(())
}

fn no_route() -> Plan {
    let rules = "
- matches: [{method: {service: shop.Other}}]
  backendRefs: [{name: $cart, port: 80}]
";
    let route = byrnie_tests::objects::grpc_route("shop", "$route", "{kind: Service, name: $cart}", rules);
    Plan::new().app("cart", "grpc", http2(shop)).object("route.yaml", route)
}

fn timed_out() -> Plan {
    Plan::new().app("cart", "grpc", http2(|_, _| Script::silent().hang())).route(
        "
- timeouts: {request: 300ms}
  backendRefs: [{name: $cart, port: 80}]
",
    )
}

/// As gRPC, as gRPC-like content types, and as plain HTTP: the form of the proxy's own error follows.
async fn one_call(stage: Arc<Stage>) -> Result<()> {
    stage.ask(Ask::grpc("/shop.Cart/Unary", &[b"ping"])).await;
    let typed = |kind: &str| Ask::post("/shop.Cart/Unary", "ping").http2().header("content-type", kind).called(kind);
    stage.ask(typed("application/grpc+proto")).await;
    stage.ask(typed("application/grpc-web")).await;
    stage.ask(typed("text/plain")).await;
    stage.ask(Ask::post("/shop.Cart/Unary", "ping").header("content-type", "application/grpc").called("over h1")).await;
    Ok(())
}

fn grpc_route() -> Plan {
    let rules = "
- matches: [{method: {service: shop.Cart, method: Unary}}]
  filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: unary}]}}]
  backendRefs: [{name: $cart, port: 80}]
- matches: [{method: {type: RegularExpression, service: \"shop[.].*\", method: \"S.*\"}}]
  filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: regex}]}}]
  backendRefs: [{name: $cart, port: 80}]
- matches: [{method: {service: shop.Cart}, headers: [{name: x-color, value: red}]}]
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-rule, value: red}]}}]
  backendRefs: [{name: $cart, port: 80}]
- matches: [{method: {method: Fails}}]
  filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: method}]}}]
  backendRefs: [{name: $cart, port: 80}]
";
    let route = byrnie_tests::objects::grpc_route("shop", "$route", "{kind: Service, name: $cart}", rules);
    Plan::new().app("cart", "grpc", http2(shop)).object("route.yaml", route)
}

async fn routed(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/shop.Cart/Unary",
        "/shop.Cart/unary",
        "/shop.Cart/Server",
        "/shop.Cart/TrailersOnly",
        "/shop.Other/Fails",
        "/shop.Cart/Unary?q=1",
        "/shop.Cart",
        "/shop.Cart/Unary/more",
    ] {
        stage.ask(Ask::grpc(path, &[b"ping"])).await;
        stage.ask(Ask::grpc(path, &[b"ping"]).header("x-color", "red").called(&format!("red {path}"))).await;
    }
    Ok(())
}
