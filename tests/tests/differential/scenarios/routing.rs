//! Routes: what they match, and what they do to requests and answers.

use std::sync::Arc;

use anyhow::Result;

use super::{Scenario, scenario};
use crate::{
    backend::{Script, answer, http1, named},
    client::Ask,
    message::Head,
    stage::Stage,
    world::{Place, Plan},
};

pub fn all() -> Vec<Scenario> {
    vec![
        scenario!("path-matches", marked(&PATHS), paths),
        scenario!("header-matches", marked(&HEADERS), headers),
        scenario!("query-matches", marked(&QUERIES), queries),
        scenario!("method-matches", marked(&METHODS), methods),
        scenario!("precedence", marked(&PRECEDENCE), precedence),
        scenario!("weights", split(), weights),
        scenario!("weights-invalid", split_in_half(), half_invalid),
        scenario!("redirects", redirecting(), redirects),
        scenario!("rewrites", rewriting(), rewrites),
        scenario!("header-modifiers", modifying(), header_modifiers),
        scenario!("direct-errors", direct_errors(), errors),
        scenario!("shared-backend", shared(), each_service),
    ]
}

/// Rules with these matches, each of which marks the answer with its number.
fn marked(matches: &[&str]) -> Plan {
    let rule = |(index, matches): (usize, &&str)| {
        format!(
            "- matches:\n  - {matches}\n  filters:\n  - type: ResponseHeaderModifier\n    responseHeaderModifier: \
             {{set: [{{name: x-rule, value: \"{index}\"}}]}}\n  backendRefs: [{{name: $cart, port: 80}}]\n"
        )
    };
    let rules: String = matches.iter().enumerate().map(rule).collect();
    Plan::new().app("cart", "http", named("cart")).route(&rules)
}

const PATHS: [&str; 6] = [
    "{path: {type: Exact, value: /exact}}",
    "{path: {type: PathPrefix, value: /prefix}}",
    "{path: {type: PathPrefix, value: /slash/}}",
    "{path: {type: RegularExpression, value: \"/re/[0-9]+\"}}",
    "{path: {type: RegularExpression, value: \"/(a|b)?/x.*\"}}",
    "{path: {type: Exact, value: \"/a%20b\"}}",
];

async fn paths(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/exact",
        "/exact?q=1",
        "/exact?",
        "/exact/",
        "/exact/more",
        "/Exact",
        "/exact#f",
        "/prefix",
        "/prefix/",
        "/prefix/more?q=1",
        "/prefixmore",
        "/prefix?more",
        "/prefix//",
        "/slash",
        "/slash/",
        "/slash/more",
        "/slashes",
        "/re/42",
        "/re/42/more",
        "/re/42?q",
        "/re/",
        "/a/x",
        "//x",
        "/a/xyz?q=/",
        "/a%20b",
        "/a b",
        "/",
        "//exact",
        "/x/../exact",
        "/%65xact",
        "/exact;v=1",
    ] {
        stage.ask(Ask::get(path)).await;
    }
    Ok(())
}

const HEADERS: [&str; 5] = [
    "{path: {type: PathPrefix, value: /h}, headers: [{name: X-Color, value: red}]}",
    "{path: {type: PathPrefix, value: /re}, headers: [{name: x-color, type: RegularExpression, value: \"bl.*\"}]}",
    "{path: {type: PathPrefix, value: /two}, headers: [{name: x-color, value: red}, {name: x-size, value: large}]}",
    "{path: {type: PathPrefix, value: /host}, headers: [{name: Host, value: cart.shop}]}",
    "{path: {type: PathPrefix, value: /cookie}, headers: [{name: cookie, type: RegularExpression, value: \".*a=1.*\"}]}",
];

async fn headers(stage: Arc<Stage>) -> Result<()> {
    let cases: [(&str, &[(&str, &str)]); 19] = [
        ("/h", &[("x-color", "red")]),
        ("/h", &[("X-COLOR", "red")]),
        ("/h", &[("x-color", "Red")]),
        ("/h", &[("x-color", "reddish")]),
        ("/h", &[("x-color", " red ")]),
        ("/h", &[("x-color", "")]),
        ("/h", &[]),
        ("/h", &[("x-color", "red"), ("x-color", "red")]),
        ("/h", &[("x-color", "red"), ("x-color", "blue")]),
        ("/re", &[("x-color", "blue")]),
        ("/re", &[("x-color", "dark blue")]),
        ("/re", &[("x-color", "blue"), ("x-color", "black")]),
        ("/two", &[("x-color", "red")]),
        ("/two", &[("x-color", "red"), ("x-size", "large")]),
        ("/two", &[("x-color", "red"), ("x-size", "small")]),
        ("/host", &[]),
        ("/cookie", &[("cookie", "a=1; b=2")]),
        ("/cookie", &[("cookie", "b=2"), ("cookie", "a=1")]),
        ("/cookie", &[("cookie", "b=2")]),
    ];
    for (path, list) in cases {
        let ask = list.iter().fold(Ask::get(path), |ask, (name, value)| ask.header(name, value));
        stage.ask(ask.clone().called(&format!("{path} {list:?}"))).await;
        if list.iter().all(|(name, _)| name.chars().all(|c| !c.is_uppercase())) {
            let list: Vec<_> = list.iter().map(|(name, value)| (*name, value.trim())).collect();
            let ask = list.iter().fold(Ask::get(path).http2(), |ask, (name, value)| ask.header(name, value));
            stage.ask(ask.called(&format!("h2 {path} {list:?}"))).await;
        }
    }
    stage.ask(Ask::get("/host").host("cart.shop:80")).await;
    stage.ask(Ask::get("/host").host("CART.shop")).await;
    Ok(())
}

const QUERIES: [&str; 4] = [
    "{path: {type: PathPrefix, value: /q}, queryParams: [{name: color, value: red}]}",
    "{path: {type: PathPrefix, value: /re}, queryParams: [{name: color, type: RegularExpression, value: \"bl.*\"}]}",
    "{path: {type: PathPrefix, value: /two}, queryParams: [{name: color, value: red}, {name: size, value: large}]}",
    "{path: {type: PathPrefix, value: /space}, queryParams: [{name: name, value: \"a b\"}]}",
];

async fn queries(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/q?color=red",
        "/q?a=1&color=red",
        "/q?color=blue",
        "/q?color=red&color=blue",
        "/q?color=blue&color=red",
        "/q?Color=red",
        "/q?color=Red",
        "/q?color",
        "/q?color=",
        "/q?color=red#f",
        "/q?color=%72ed",
        "/q?c%6flor=red",
        "/q",
        "/q?",
        "/q?&color=red",
        "/q?color=red&",
        "/q?color==red",
        "/q;color=red",
        "/q?a=color=red",
        "/re?color=black",
        "/re?color=dark%20blue",
        "/re?color=bl",
        "/two?size=large&color=red",
        "/two?color=red",
        "/space?name=a+b",
        "/space?name=a%20b",
        "/q?color=red;a=1",
    ] {
        stage.ask(Ask::get(path)).await;
    }
    Ok(())
}

const METHODS: [&str; 3] = [
    "{path: {type: PathPrefix, value: /}, method: PUT}",
    "{path: {type: PathPrefix, value: /head}, method: HEAD}",
    "{path: {type: PathPrefix, value: /options}, method: OPTIONS}",
];

async fn methods(stage: Arc<Stage>) -> Result<()> {
    for (method, path) in
        [("PUT", "/"), ("GET", "/"), ("HEAD", "/head"), ("GET", "/head"), ("OPTIONS", "/options"), ("POST", "/")]
    {
        stage.ask(Ask::new(method, path)).await;
        stage.ask(Ask::new(method, path).http2()).await;
    }
    Ok(())
}

const PRECEDENCE: [&str; 9] = [
    "{path: {type: PathPrefix, value: /}}",
    "{path: {type: PathPrefix, value: /a}}",
    "{path: {type: PathPrefix, value: /a/b}}",
    "{path: {type: Exact, value: /a/b}}",
    "{path: {type: RegularExpression, value: \"/a/b/[c-z]\"}}",
    "{path: {type: PathPrefix, value: /a}, method: PUT}",
    "{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: \"1\"}]}",
    "{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: \"1\"}, {name: x-two, value: \"2\"}]}",
    "{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: \"1\"}]}",
];

async fn precedence(stage: Arc<Stage>) -> Result<()> {
    for method in ["GET", "PUT"] {
        for path in ["/", "/a", "/a/c", "/a/b", "/a/b/", "/a/b/d", "/a?q=1", "/a/b?q=1", "/b"] {
            stage.ask(Ask::new(method, path)).await;
            let one = Ask::new(method, path).header("x-one", "1");
            stage.ask(one.clone().called(&format!("{method} {path} one"))).await;
            stage.ask(one.header("x-two", "2").called(&format!("{method} {path} two"))).await;
        }
    }
    Ok(())
}

fn split() -> Plan {
    let plan = ["one", "two", "never"].into_iter().fold(Plan::new(), |plan, name| plan.app(name, "http", named(name)));
    plan.app("cart", "http", named("cart")).route(
        "
- backendRefs:
  - {name: $one, port: 80, weight: 80}
  - {name: $two, port: 80, weight: 20}
  - {name: $never, port: 80, weight: 0}
",
    )
}

async fn weights(stage: Arc<Stage>) -> Result<()> {
    let outcome = |answer: &crate::message::Answer| format!("{} {}", answer.status, answer.text());
    stage.sample(Ask::get("/"), 400, &[("200 one", 0.8), ("200 two", 0.2)], outcome).await;
    Ok(())
}

fn split_in_half() -> Plan {
    Plan::new().app("cart", "http", named("cart")).route(
        "
- backendRefs: [{name: $cart, port: 80, weight: 1}, {name: $not-there, port: 80, weight: 1}]
",
    )
}

async fn half_invalid(stage: Arc<Stage>) -> Result<()> {
    let outcome = |answer: &crate::message::Answer| format!("{} {}", answer.status, answer.text());
    stage.sample(Ask::get("/"), 200, &[("200 cart", 0.5), ("500 ", 0.5)], outcome).await;
    Ok(())
}

fn redirecting() -> Plan {
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch:";
    let cases = [
        ("/plain", "{hostname: example.org}".to_owned()),
        ("/status", "{hostname: example.org, statusCode: 301}".to_owned()),
        ("/see", "{hostname: example.org, statusCode: 303}".to_owned()),
        ("/temporary", "{statusCode: 307, scheme: https}".to_owned()),
        ("/permanent", "{statusCode: 308, port: 8083}".to_owned()),
        ("/well-known", "{scheme: https, port: 443}".to_owned()),
        ("/eighty", "{scheme: http, port: 80}".to_owned()),
        ("/https80", "{scheme: https, port: 80}".to_owned()),
        ("/old", format!("{{{prefix} /new}}}}")),
        ("/slash/", format!("{{{prefix} /new/}}}}")),
        ("/strip", format!("{{{prefix} /}}}}")),
        ("/full", "{hostname: example.org, path: {type: ReplaceFullPath, replaceFullPath: /there}}".to_owned()),
    ];
    let rule = |(path, redirect): &(&str, String)| {
        format!(
            "- matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n  filters:\n  - type: RequestRedirect\n    \
             requestRedirect: {redirect}\n"
        )
    };
    let rules: String = cases.iter().map(rule).collect();
    Plan::new().app("cart", "http", named("cart")).route(&rules)
}

async fn redirects(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/plain/x?q=1",
        "/status",
        "/see",
        "/temporary",
        "/permanent",
        "/well-known",
        "/eighty",
        "/https80",
        "/old/x?q=1",
        "/old",
        "/old/",
        "/slash/x",
        "/slash",
        "/strip/x",
        "/strip",
        "/strip/",
        "/strip?q=1",
        "/full/x?q=1",
    ] {
        stage.ask(Ask::get(path)).await;
        stage.ask(Ask::get(path).host("cart.shop:8080").called(&format!("{path} with a port"))).await;
    }
    stage.ask(Ask::post("/permanent", "a body")).await;
    stage.ask(Ask::new("HEAD", "/plain").http2()).await;
    stage.ask(Ask::get("/temporary").header("x-forwarded-proto", "https").called("forwarded")).await;
    Ok(())
}

fn rewriting() -> Plan {
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch:";
    let cases = [
        ("/prefix/one", format!("{{{prefix} /one}}}}")),
        ("/slash/", format!("{{{prefix} /one/}}}}")),
        ("/strip", format!("{{{prefix} /}}}}")),
        ("/full", "{path: {type: ReplaceFullPath, replaceFullPath: /there}}".to_owned()),
        ("/host", "{hostname: one.example.org}".to_owned()),
        ("/both", format!("{{hostname: one.example.org, {prefix} /one}}}}")),
    ];
    let rule = |(path, rewrite): &(&str, String)| {
        format!(
            "- matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n  filters:\n  - {{type: URLRewrite, \
             urlRewrite: {rewrite}}}\n  backendRefs: [{{name: $cart, port: 80}}]\n"
        )
    };
    let rules: String = cases.iter().map(rule).collect();
    Plan::new().app("cart", "http", named("cart")).route(&rules)
}

async fn rewrites(stage: Arc<Stage>) -> Result<()> {
    for path in [
        "/prefix/one/two?q=1",
        "/prefix/one",
        "/prefix/one/",
        "/prefix/one?q",
        "/slash/two",
        "/slash/",
        "/slash",
        "/strip/two?q=1",
        "/strip",
        "/strip/",
        "/strip//x",
        "/strip?q=1",
        "/full/two?q=1",
        "/full",
        "/host/two",
        "/both/two",
    ] {
        stage.ask(Ask::get(path)).await;
        stage.ask(Ask::get(path).http2()).await;
    }
    Ok(())
}

fn modifying() -> Plan {
    let change = |kind: &str, of: &str| {
        format!(
            "{{type: {kind}HeaderModifier, {}HeaderModifier: {{set: [{{name: X-Set, value: {of}}}, {{name: x-new, value: \
             {of}}}], add: [{{name: X-Add, value: {of}}}], remove: [X-Remove, x-absent]}}}}",
            kind.to_lowercase()
        )
    };
    let both = |of: &str| format!("[{}, {}]", change("Request", of), change("Response", of));
    let rules = format!(
        "
- matches: [{{path: {{type: PathPrefix, value: /rule}}}}]
  filters: {}
  backendRefs: [{{name: $cart, port: 80}}]
- matches: [{{path: {{type: PathPrefix, value: /backend}}}}]
  backendRefs: [{{name: $cart, port: 80, filters: {}}}]
- matches: [{{path: {{type: PathPrefix, value: /both}}}}]
  filters: {}
  backendRefs: [{{name: $cart, port: 80, filters: {}}}]
- matches: [{{path: {{type: PathPrefix, value: /special}}}}]
  filters:
  - type: RequestHeaderModifier
    requestHeaderModifier:
      set: [{{name: user-agent, value: mesh}}, {{name: x-percent, value: \"100%\"}}, {{name: x-braces, value: \"%REQ(x)%\"}}]
      remove: [accept, x-forwarded-proto]
  - type: ResponseHeaderModifier
    responseHeaderModifier: {{set: [{{name: server, value: mesh}}], remove: [content-type]}}
  backendRefs: [{{name: $cart, port: 80}}]
- matches: [{{path: {{type: PathPrefix, value: /error}}}}]
  filters: {}
- matches: [{{path: {{type: PathPrefix, value: /redirect}}}}]
  filters: [{}, {{type: RequestRedirect, requestRedirect: {{hostname: example.org}}}}]
",
        both("rule"),
        both("backend"),
        both("rule"),
        both("backend"),
        both("rule"),
        change("Response", "rule"),
    );
    Plan::new().app("cart", "http", http1(modified)).route(&rules)
}

fn modified(_: &Head, _: usize) -> Script {
    let answer = answer(200, "cart").header("x-set", "old").header("x-set", "older").header("x-add", "old");
    answer
        .header("x-remove", "old")
        .header("X-Remove", "older")
        .header("content-type", "text/plain")
        .header("server", "app")
}

async fn header_modifiers(stage: Arc<Stage>) -> Result<()> {
    for path in ["/rule", "/backend", "/both", "/special", "/error", "/redirect"] {
        let old = Ask::get(path).header("x-set", "old").header("x-set", "older").header("x-add", "old");
        let old = old.header("x-remove", "old").header("x-remove", "older").header("accept", "tea/*");
        stage.ask(old.clone()).await;
        stage.ask(old.http2()).await;
        stage.ask(Ask::get(path).called(&format!("{path} without any"))).await;
    }
    Ok(())
}

fn direct_errors() -> Plan {
    Plan::new().app("cart", "http", named("cart")).route(
        "
- matches: [{path: {type: PathPrefix, value: /gone}}]
  backendRefs: [{name: $not-there, port: 80}]
- matches: [{path: {type: PathPrefix, value: /port}}]
  backendRefs: [{name: $cart, port: 81}]
- matches: [{path: {type: PathPrefix, value: /empty}}]
- matches: [{path: {type: PathPrefix, value: /zero}}]
  backendRefs: [{name: $cart, port: 80, weight: 0}]
",
    )
}

async fn errors(stage: Arc<Stage>) -> Result<()> {
    for path in ["/gone", "/port", "/empty", "/zero", "/elsewhere"] {
        stage.ask(Ask::get(path).watching()).await;
        stage.ask(Ask::get(path).http2()).await;
        stage.ask(Ask::new("HEAD", path)).await;
        stage.ask(Ask::post(path, "a body").watching()).await;
    }
    Ok(())
}

/// Two Services in front of one Pod, one with a route to the other, and one without a sidecar.
fn shared() -> Plan {
    let plan = Plan::new().app("cart", "http", named("cart")).app("other", "http", named("other"));
    let plan = plan.service("plain", "http", vec![(Place::Plain, named("plain"))]);
    plan.route(
        "
- matches: [{path: {type: PathPrefix, value: /other}}]
  backendRefs: [{name: $other, port: 80}]
- matches: [{path: {type: PathPrefix, value: /plain}}]
  backendRefs: [{name: $plain, port: 80}]
- backendRefs: [{name: $cart, port: 80}]
",
    )
}

async fn each_service(stage: Arc<Stage>) -> Result<()> {
    for path in ["/other", "/plain", "/"] {
        stage.ask(Ask::get(path)).await;
        stage.ask(Ask::get(path).http2()).await;
        stage.ask_of("other", Ask::get(path).called(&format!("other {path}"))).await;
    }
    Ok(())
}
