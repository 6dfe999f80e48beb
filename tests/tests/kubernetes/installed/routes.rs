//! What routes are told of themselves, with proxies at two replicas.

use anyhow::{Context, Result};
use byrnie_tests::{
    app::{App, reply},
    http,
    objects::{Pod, grpc_route, http_route, service},
    sidecar::Sidecar,
    wait::until,
};
use serde_json::{Value, json};

use super::{
    ROUTES, Stage,
    caller::{Caller, REFUSAL},
    condition, conditions,
};

const CART: [&str; 2] = ["httproute", "cart"];
const PARENT: &str = "{kind: Service, name: cart}";
const RULE: &str = "- matches: [{path: {value: /basket}}]\n  backendRefs: [{name: cart, port: 80}]";
const UNKNOWN_BACKEND: &str = "- matches: [{path: {value: /basket}}]\n  backendRefs: [{name: gone, port: 80}]";
const UNREADABLE: &str = "- matches: [{path: {type: RegularExpression, value: '('}}]";
const PARTIAL: &str = "- matches: [{path: {value: /basket}}]
  backendRefs: [{name: cart, port: 80}]
- filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Nothing, name: none}}]
  backendRefs: [{name: cart, port: 80}]";

/// A Service whose Pod stands outside the mesh, and a caller with a micro-proxy at each replica.
struct Shop {
    stage: Stage,
    web: Vec<(Sidecar, Pod)>,
    _app: App,
}

impl Shop {
    async fn open() -> Result<Self> {
        let stage = Stage::start().await?;
        let namespace = &stage.namespace;
        let cart = Pod::new(namespace, "cart-1", "cart");
        let app = App::at((cart.ip(), 8080).into(), |_| reply(200, "cart")).await?;
        stage.server.apply(&service(namespace, "cart", "http", 80, 8080)).await?;
        stage.server.apply(&service(namespace, "ledger", "grpc", 80, 8080)).await?;
        super::run(&stage.server, namespace, &cart).await?;
        let mut web = Vec::new();
        for (number, replica) in stage.replicas.iter().enumerate() {
            let name = format!("web-{number}");
            let pod = Pod::new(namespace, &name, "web").calling(&format!("cart.{namespace}:80"));
            let pod = pod.calling(&format!("ledger.{namespace}:80"));
            web.push((stage.sidecar(&pod, "web", replica).await?, pod));
        }
        Ok(Self { stage, web, _app: app })
    }

    async fn route(&self, rules: &str) -> Result<()> {
        self.stage.server.apply(&http_route(&self.stage.namespace, "cart", PARENT, rules)).await
    }

    async fn answers(&self, path: &str, status: u16) -> Result<()> {
        let host = format!("cart.{}", self.stage.namespace);
        for (_, web) in &self.web {
            let answer = http::get(web.upstream(&format!("{host}:80")), &host, path).await?;
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_told_what_became_of_it_and_of_each_edit() -> Result<()> {
    let shop = Shop::open().await?;
    let Stage { server, namespace, .. } = &shop.stage;
    shop.route(RULE).await?;
    let first = shop.stage.until_condition(CART, "Programmed", "True Programmed 2/2 proxies").await?;
    assert!(condition(&first, "Accepted").starts_with("True Accepted governs port 80"), "{first}");
    assert!(condition(&first, "ResolvedRefs").starts_with("True"), "{first}");
    shop.answers("/basket", 200).await?;
    shop.answers("/", 404).await?;
    server
        .apply(&grpc_route(
            namespace,
            "ledger",
            "{kind: Service, name: ledger}",
            "- backendRefs: [{name: ledger, port: 80}]",
        ))
        .await?;
    shop.stage.until_condition(["grpcroute", "ledger"], "Programmed", "True Programmed 2/2 proxies").await?;

    let foreign = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"},
        "controllerName": "example.com/gateway",
        "conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "by another",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    let patch = json!([{"op": "add", "path": "/status/parents/0", "value": foreign}]).to_string();
    let add =
        ["patch", "httproute", "cart", "--namespace", namespace, "--subresource=status", "--type=json", "--patch"];
    server.kubectl(&[&add[..], &[&patch]].concat()).await?;

    shop.route(UNKNOWN_BACKEND).await?;
    let unresolved = "False BackendNotFound spec.rules[0].backendRefs[0].name: Service ";
    let second = shop.stage.until_condition(CART, "ResolvedRefs", unresolved).await?;
    until_observed(&shop.stage, &second).await?;
    shop.route(PARTIAL).await?;
    shop.stage.until_condition(CART, "PartiallyInvalid", "True UnsupportedValue Dropped Rule 1").await?;
    let third = shop.stage.until_condition(CART, "Programmed", "True Programmed 2/2 proxies").await?;
    until_observed(&shop.stage, &third).await?;
    assert_eq!(since(&third, "Accepted"), since(&first, "Accepted"), "nothing turned");

    // The schema lets a regular expression through that nobody can read.
    shop.route(UNREADABLE).await?;
    let fourth = shop.stage.until_condition(CART, "Accepted", "False Invalid spec.rules[0].matches[0].path").await?;
    assert!(condition(&fourth, "Accepted").ends_with("; the last valid state stays in force"), "{fourth}");
    assert!(condition(&fourth, "Programmed").starts_with("False NotAccepted"), "{fourth}");
    until_observed(&shop.stage, &fourth).await?;
    shop.answers("/basket", 200).await?;
    assert_eq!(fourth["status"]["parents"][0], foreign);
    shop.stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_words_until_the_proxy_accepts_and_no_hand_over_writes_anything() -> Result<()> {
    let mut shop = Shop::open().await?;
    let namespace = shop.stage.namespace.clone();
    shop.route(RULE).await?;
    shop.stage.until_condition(CART, "Programmed", "True Programmed 2/2 proxies").await?;
    let picky = Pod::new(&namespace, "web-9", "web").calling(&format!("cart.{namespace}:80"));
    let token = shop.stage.workload(&picky, "web").await?;
    let roots = shop.stage.any_roots().await?;
    let holder = shop.stage.until_held().await?;
    // The other one tells the holder.
    let at = &shop.stage.replicas[1 - holder];
    shop.stage.sign(at, &roots, &token).await?;
    let caller = Caller::connect(at.xds(), &roots, Some(&token), None).await?;
    let proxy = caller.proxy(&picky.workload(), &format!("route/{namespace}/cart:80"), true);
    let told = format!("{namespace}/web-9 refused RDS route/{namespace}/cart:80: {REFUSAL}");
    shop.stage.until_condition(CART, "Programmed", &format!("False Refused 2/3 proxies; {told}")).await?;
    until_event(&shop.stage, ["Warning", "Refused"], &told).await?;
    proxy.accept();
    shop.route(&RULE.replace("/basket", "/cart")).await?;
    shop.stage.until_condition(CART, "Programmed", "True Programmed 3/3 proxies").await?;
    until_event(&shop.stage, ["Normal", "Programmed"], "3/3 proxies").await?;

    let before = (shop.stage.writes(ROUTES, "")?, shop.stage.object(CART[0], CART[1]).await?);
    shop.stage.replicas[holder].terminate().await?;
    shop.stage.until_held().await?;
    // What is written for the first time tells that all was looked at.
    let other = http_route(&namespace, "other", "{kind: Service, name: ledger}", RULE);
    shop.stage.server.apply(&other).await?;
    shop.stage.until_condition(["httproute", "other"], "Accepted", "True").await?;
    shop.stage.replicas[holder].restart()?;
    shop.stage.replicas[holder].ready().await?;
    shop.stage.server.kubectl(&["delete", "httproute", "other", "--namespace", &namespace]).await?;
    assert_eq!(shop.stage.object(CART[0], CART[1]).await?, before.1);
    assert_eq!(shop.stage.writes(ROUTES, "cart")?, before.0);
    shop.stage.finish()
}

/// Waits until every condition of ours speaks of the present generation.
async fn until_observed(stage: &Stage, route: &Value) -> Result<()> {
    let generation = &route["metadata"]["generation"];
    until("the status is of the last edit", async || {
        let route = stage.object(CART[0], CART[1]).await?;
        let observed = |kind| conditions(&route, kind).is_none_or(|said| said["observedGeneration"] == *generation);
        Ok(["Accepted", "ResolvedRefs", "PartiallyInvalid", "Programmed"].into_iter().all(observed))
    })
    .await
}

fn since(route: &Value, kind: &str) -> Option<String> {
    conditions(route, kind)?["lastTransitionTime"].as_str().map(str::to_owned)
}

async fn until_event(stage: &Stage, wanted: [&str; 2], words: &str) -> Result<()> {
    let mut last = String::new();
    let found = until("there is an Event", async || {
        last = stage
            .server
            .kubectl(&["get", "events.events.k8s.io", "--namespace", &stage.namespace, "--output", "json"])
            .await?;
        let events: Value = serde_json::from_str(&last)?;
        let is_it = |event: &Value| {
            let says = event["note"].as_str().is_some_and(|note| note.contains(words));
            [&event["type"], &event["reason"]] == wanted && event["regarding"]["name"] == "cart" && says
        };
        Ok(events["items"].as_array().is_some_and(|events| events.iter().any(is_it)))
    })
    .await;
    found.with_context(|| last)
}
