//! What Gateway API's rules do to requests and answers as a client's Envoy carries it out.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use byrnie_tests::{
    app::{App, Asked, Reply, reply, with_header},
    http,
    mesh::Mesh,
    objects::{Pod, http_route, service},
    shop::{Backend, Shop},
    sidecar::Sidecar,
};
use hyper::Method;

const CART: &str = "{kind: Service, name: cart}";

#[tokio::test(flavor = "multi_thread")]
async fn header_modifiers_of_rules_and_of_backends_change_requests_and_answers() -> Result<()> {
    let rules = "
- matches: [{path: {type: PathPrefix, value: /rule}}]
  filters:
  - type: RequestHeaderModifier
    requestHeaderModifier:
      set: [{name: X-Set, value: new}]
      add: [{name: X-Add, value: more}]
      remove: [X-Remove]
  - type: ResponseHeaderModifier
    responseHeaderModifier:
      set: [{name: X-Set, value: new}]
      add: [{name: X-Add, value: more}]
      remove: [X-Remove]
  backendRefs: [{name: cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /backend}}]
  backendRefs:
  - {name: cart, port: 80, weight: 0}
  - name: cart
    port: 80
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: X-Add, value: more}]
        remove: [X-Remove]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: X-Add, value: more}]
        remove: [X-Remove]
- matches: [{path: {type: PathPrefix, value: /both}}]
  filters:
  - type: RequestHeaderModifier
    requestHeaderModifier: {set: [{name: x-set, value: rule}, {name: x-remove, value: rule}]}
  - type: ResponseHeaderModifier
    responseHeaderModifier: {set: [{name: x-set, value: rule}, {name: x-remove, value: rule}]}
  backendRefs:
  - name: cart
    port: 80
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}
";
    let answer = |_: &Asked| -> Reply {
        let answer = with_header(reply(200, ""), "x-set", "old");
        with_header(with_header(answer, "x-add", "old"), "x-remove", "old")
    };
    let files = [("route.yaml", http_route("shop", "headers", CART, rules))];
    let shop = Shop::with(vec![Backend::new("cart", "http", answer)], &files).await?;
    let sent = [("x-set", "old"), ("x-add", "old"), ("x-remove", "old"), ("x-other", "old")];
    let values = |headers: &[(String, String)], name: &str| -> Vec<String> {
        let all = headers.iter().filter(|(known, _)| known == name).flat_map(|(_, value)| value.split(','));
        all.map(|value| value.trim().to_owned()).collect()
    };
    for path in ["/rule", "/backend", "/both"] {
        let answer = shop.send(Method::GET, "cart", path, &sent).await?;
        let asked = shop.take_asked("cart").remove(0);
        for headers in [&asked.headers, &answer.headers] {
            assert_eq!(values(headers, "x-set"), ["new"], "{path} {headers:?}");
            assert_eq!(values(headers, "x-add"), ["old", "more"], "{path} {headers:?}");
            assert_eq!(values(headers, "x-remove"), Vec::<String>::new(), "{path} {headers:?}");
        }
        assert_eq!(values(&asked.headers, "x-other"), ["old"], "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_says_status_scheme_host_port_and_path() -> Result<()> {
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch:";
    let cases = [
        ("/plain", "{hostname: example.org}", "/plain/x?q=1", 302, "http://example.org/plain/x?q=1"),
        ("/status", "{hostname: example.org, statusCode: 301}", "/status", 301, "http://example.org/status"),
        ("/see", "{hostname: example.org, statusCode: 303}", "/see", 303, "http://example.org/see"),
        ("/temporary", "{statusCode: 307, scheme: https}", "/temporary", 307, "https://cart.shop/temporary"),
        ("/permanent", "{statusCode: 308, port: 8083}", "/permanent", 308, "http://cart.shop:8083/permanent"),
        ("/well-known", "{scheme: https, port: 443}", "/well-known", 302, "https://cart.shop/well-known"),
        ("/old", &format!("{{{prefix} /new}}}}"), "/old/x?q=1", 302, "http://cart.shop/new/x?q=1"),
        ("/strip", &format!("{{{prefix} /}}}}"), "/strip/x", 302, "http://cart.shop/x"),
        ("/bare", &format!("{{{prefix} /}}}}"), "/bare", 302, "http://cart.shop/"),
        (
            "/full",
            "{hostname: example.org, path: {type: ReplaceFullPath, replaceFullPath: /there}}",
            "/full/x",
            302,
            "http://example.org/there",
        ),
    ];
    let rule = |(path, redirect, ..): &(&str, &str, &str, u16, &str)| {
        format!(
            "- matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n  filters:\n  - type: RequestRedirect\n    \
             requestRedirect: {redirect}\n"
        )
    };
    let rules: String = cases.iter().map(rule).collect();
    let shop = Shop::start(&["cart"], &[("route.yaml", http_route("shop", "redirects", CART, &rules))]).await?;
    for (_, redirect, path, status, location) in cases {
        let answer = shop.get("cart", path).await?;
        // The well-known port of a scheme may be written down or not (HTTPRequestRedirectFilter.port: SHOULD NOT).
        let found = answer.header("location").map(|found| match found.strip_prefix("https://") {
            Some(rest) => format!("https://{}", rest.replacen(":443", "", 1)),
            None => found.replacen(":80/", "/", 1),
        });
        assert_eq!((answer.status, found.as_deref()), (status, Some(location)), "{redirect}");
    }
    assert!(shop.take_asked("cart").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_changes_prefix_path_and_host() -> Result<()> {
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch:";
    let cases = [
        ("/prefix/one", format!("{{{prefix} /one}}}}"), "/prefix/one/two?q=1", "/one/two?q=1", "cart.shop"),
        ("/slash/", format!("{{{prefix} /one/}}}}"), "/slash/two", "/one/two", "cart.shop"),
        ("/strip", format!("{{{prefix} /}}}}"), "/strip/two", "/two", "cart.shop"),
        ("/bare", format!("{{{prefix} /}}}}"), "/bare", "/", "cart.shop"),
        ("/query", format!("{{{prefix} /}}}}"), "/query?q=1", "/?q=1", "cart.shop"),
        (
            "/full",
            "{path: {type: ReplaceFullPath, replaceFullPath: /there}}".to_owned(),
            "/full/two?q=1",
            "/there?q=1",
            "cart.shop",
        ),
        ("/host", "{hostname: one.example.org}".to_owned(), "/host/two", "/host/two", "one.example.org"),
        (
            "/both",
            "{hostname: one.example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}".to_owned(),
            "/both/two",
            "/one/two",
            "one.example.org",
        ),
    ];
    let rule = |(path, rewrite, ..): &(&str, String, &str, &str, &str)| {
        format!(
            "- matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n  filters:\n  - {{type: URLRewrite, \
             urlRewrite: {rewrite}}}\n  backendRefs: [{{name: cart, port: 80}}]\n"
        )
    };
    let rules: String = cases.iter().map(rule).collect();
    let shop = Shop::start(&["cart"], &[("route.yaml", http_route("shop", "rewrites", CART, &rules))]).await?;
    for (_, rewrite, path, uri, host) in cases {
        assert_eq!(shop.get("cart", path).await?.status, 200, "{rewrite}");
        let asked = shop.take_asked("cart").remove(0);
        assert_eq!((&*asked.uri, &*asked.host), (uri, host), "{path} {rewrite}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_of_the_request_and_of_one_try_answer_504_and_without_them_there_is_none() -> Result<()> {
    let app = App::slow(async |asked| {
        if asked.uri != "/free" {
            std::future::pending::<()>().await;
        }
        reply(200, "late")
    })
    .await?;
    let rules = "
- matches: [{path: {type: PathPrefix, value: /request}}]
  timeouts: {request: 300ms}
  backendRefs: [{name: cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /try}}]
  timeouts: {request: 10s, backendRequest: 300ms}
  backendRefs: [{name: cart, port: 80}]
- matches: [{path: {type: PathPrefix, value: /none}}]
  timeouts: {request: 0s}
  backendRefs: [{name: cart, port: 80}]
";
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let cart = Pod::new("shop", "cart-1", "cart").serving(8080, app.address());
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("route.yaml", http_route("shop", "timeouts", CART, rules)),
        (&web.file(), web.yaml()),
        (&cart.file(), cart.yaml()),
    ])
    .await?;
    let _server = Sidecar::start(&mesh, &cart.workload()).await?;
    let client = Sidecar::start(&mesh, &web.workload()).await?;
    for path in ["/request", "/try"] {
        let started = Instant::now();
        let answer = http::get(web.upstream("cart.shop:80"), "cart.shop", path).await?;
        assert_eq!(answer.status, 504, "{path}");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(4), "{path}: {took:?}");
    }
    // Envoy's own default would be 15 s.
    let tables = client.config("dynamic_route_configs").await?;
    let text = serde_json::to_string(&tables)?;
    assert!(text.contains("\"timeout\":\"0s\""), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_route_asks_again_for_its_codes_and_so_often() -> Result<()> {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let answer = |asked: &Asked| match &*asked.uri {
        "/twice" if TIMES.fetch_add(1, Ordering::Relaxed) < 2 => reply(503, "not yet"),
        "/twice" => reply(200, "at last"),
        "/never" => reply(503, "never"),
        _ => reply(500, "another code"),
    };
    let rules = "
- retry: {attempts: 2, codes: [503], backoff: 10ms}
  backendRefs: [{name: cart, port: 80}]
";
    let files = [("route.yaml", http_route("shop", "retry", CART, rules))];
    let shop = Shop::with(vec![Backend::new("cart", "http", answer)], &files).await?;
    for (path, status, body, times) in
        [("/twice", 200, "at last", 3), ("/never", 503, "never", 3), ("/other", 500, "another code", 1)]
    {
        let answer = shop.get("cart", path).await?;
        assert_eq!((answer.status, &*answer.body), (status, body), "{path}");
        assert_eq!(shop.take_asked("cart").len(), times, "{path}");
    }
    Ok(())
}
