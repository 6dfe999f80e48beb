//! Gateway API's routing as a client's Envoy carries it out.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::Result;
use byrnie_tests::{
    app::{App, Asked, reply_with_trailers, with_header},
    http,
    mesh::{self, Mesh},
    objects::{Pod, grpc_route, http_route, service},
    shop::{Backend, Shop},
    sidecar::Sidecar,
};
use bytes::Bytes;
use hyper::Method;

const CART: &str = "{kind: Service, name: cart}";

#[tokio::test(flavor = "multi_thread")]
async fn a_split_of_90_to_10_holds_over_mutual_tls_and_follows_an_edit_of_the_route() -> Result<()> {
    let (old, new) = (App::named("v1").await?, App::named("v2").await?);
    let web = Pod::new("shop", "web-1", "web").calling("cart.shop:80");
    let one = Pod::new("shop", "cart-v1-1", "cart-v1").serving(8080, old.address());
    let two = Pod::new("shop", "cart-v2-1", "cart-v2").serving(8080, new.address());
    let split = |first: u32, second: u32| {
        let rules = format!(
            "- backendRefs:\n  - {{name: cart-v1, port: 80, weight: {first}}}\n  - {{name: cart-v2, port: 80, weight: {second}}}"
        );
        http_route("shop", "split", CART, &rules)
    };
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("cart-v1.yaml", service("shop", "cart-v1", "http", 80, 8080)),
        ("cart-v2.yaml", service("shop", "cart-v2", "http", 80, 8080)),
        ("split.yaml", split(90, 10)),
        (&web.file(), web.yaml()),
        (&one.file(), one.yaml()),
        (&two.file(), two.yaml()),
    ])
    .await?;
    let _sidecars = [Sidecar::start(&mesh, &one.workload()).await?, Sidecar::start(&mesh, &two.workload()).await?];
    let _client = Sidecar::start(&mesh, &web.workload()).await?;

    let mut connection = http::Connection::open(web.upstream("cart.shop:80")).await?;
    let (total, mut answered) = (2000, HashMap::<String, u32>::new());
    for _ in 0..total {
        let answer = connection.get("cart.shop", "/").await?;
        assert_eq!(answer.status, 200);
        *answered.entry(answer.body).or_default() += 1;
    }
    // Five standard deviations of a binomial distribution: sqrt(2000 * 0.1 * 0.9) = 13.4.
    let share = answered["v2"];
    assert!((200 - 67..=200 + 67).contains(&share), "{share} of {total} went to v2, 200 are due");
    assert!(new.asked().iter().all(|asked| asked.header("x-forwarded-client-cert").is_some()), "by mutual TLS");

    mesh.write("split.yaml", &split(0, 1))?;
    mesh.until("all go to v2", async |_| {
        for _ in 0..20 {
            if connection.get("cart.shop", "/").await?.body != "v2" {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// A Service `cart` whose rules each mark the answer with their position.
async fn marked(matches: &[&str]) -> Result<Shop> {
    let rule = |(index, matches): (usize, &&str)| {
        format!(
            "- matches:\n  - {matches}\n  filters:\n  - type: ResponseHeaderModifier\n    responseHeaderModifier: \
             {{set: [{{name: x-rule, value: \"{index}\"}}]}}\n  backendRefs: [{{name: cart, port: 80}}]\n"
        )
    };
    let rules: String = matches.iter().enumerate().map(rule).collect();
    Shop::start(&["cart"], &[("route.yaml", http_route("shop", "rules", CART, &rules))]).await
}

/// A request and the rule that must take it; `None` for 404.
type Case = (Method, &'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

async fn assert_rules(shop: &Shop, cases: &[Case]) -> Result<()> {
    for (method, path, headers, rule) in cases {
        let answer = shop.send(method.clone(), "cart", path, headers).await?;
        let expected = if rule.is_some() { 200 } else { 404 };
        let found = (answer.status, answer.header("x-rule"));
        assert_eq!(found, (expected, *rule), "{method} {path} {headers:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_match_takes_what_it_describes_and_what_nothing_takes_is_404() -> Result<()> {
    let shop = marked(&[
        "{path: {type: Exact, value: /exact}}",
        "{path: {type: PathPrefix, value: /prefix}}",
        "{path: {type: PathPrefix, value: /slash/}}",
        "{path: {type: RegularExpression, value: \"/re/[0-9]+\"}}",
        "{path: {type: PathPrefix, value: /m}, method: PUT}",
        "{path: {type: PathPrefix, value: /h}, headers: [{name: X-Color, value: red}]}",
        "{path: {type: PathPrefix, value: /hre}, headers: [{name: x-color, type: RegularExpression, value: \"bl.*\"}]}",
        "{path: {type: PathPrefix, value: /q}, queryParams: [{name: color, value: red}]}",
        "{path: {type: PathPrefix, value: /qre}, queryParams: [{name: color, type: RegularExpression, value: \"bl.*\"}]}",
    ])
    .await?;
    assert_rules(
        &shop,
        &[
            (Method::GET, "/exact", &[], Some("0")),
            (Method::GET, "/exact?q=1", &[], Some("0")),
            (Method::GET, "/exact/more", &[], None),
            (Method::GET, "/Exact", &[], None),
            (Method::GET, "/prefix", &[], Some("1")),
            (Method::GET, "/prefix/", &[], Some("1")),
            (Method::GET, "/prefix/more?q=1", &[], Some("1")),
            (Method::GET, "/prefixmore", &[], None),
            (Method::GET, "/slash", &[], Some("2")),
            (Method::GET, "/slash/more", &[], Some("2")),
            (Method::GET, "/re/42", &[], Some("3")),
            (Method::GET, "/re/42/more", &[], None),
            (Method::PUT, "/m", &[], Some("4")),
            (Method::GET, "/m", &[], None),
            (Method::GET, "/h", &[("x-color", "red")], Some("5")),
            (Method::GET, "/h", &[("x-color", "reddish")], None),
            (Method::GET, "/h", &[], None),
            (Method::GET, "/hre", &[("x-color", "blue")], Some("6")),
            (Method::GET, "/hre", &[("x-color", "dark blue")], None),
            (Method::GET, "/q?a=1&color=red", &[], Some("7")),
            (Method::GET, "/q?color=blue", &[], None),
            (Method::GET, "/qre?color=black", &[], Some("8")),
            (Method::GET, "/elsewhere", &[], None),
        ],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_match_wins_whatever_the_order_of_the_rules() -> Result<()> {
    let shop = marked(&[
        "{path: {type: PathPrefix, value: /}}",
        "{path: {type: PathPrefix, value: /a}}",
        "{path: {type: PathPrefix, value: /a/b}}",
        "{path: {type: Exact, value: /a/b}}",
        "{path: {type: PathPrefix, value: /a}, method: PUT}",
        "{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: \"1\"}]}",
        "{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: \"1\"}, {name: x-two, value: \"2\"}]}",
        "{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: \"1\"}]}",
        "{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: \"1\"}]}",
    ])
    .await?;
    assert_rules(
        &shop,
        &[
            (Method::GET, "/", &[], Some("0")),
            (Method::GET, "/a", &[], Some("1")),
            (Method::GET, "/a/c", &[], Some("1")),
            (Method::GET, "/a/b/c", &[], Some("2")),
            (Method::GET, "/a/b", &[], Some("3")),
            (Method::PUT, "/a/b", &[("x-one", "1")], Some("3")),
            (Method::PUT, "/a/b/c", &[("x-one", "1")], Some("2")),
            (Method::PUT, "/a", &[("x-one", "1"), ("x-two", "2")], Some("4")),
            (Method::GET, "/a?q=1", &[("x-one", "1")], Some("5")),
            (Method::GET, "/a?q=1", &[("x-one", "1"), ("x-two", "2")], Some("6")),
            // Two equal rules: the first in the list.
            (Method::GET, "/a?q=1", &[], Some("7")),
        ],
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_routes_that_match_alike_the_older_wins_then_the_first_by_name() -> Result<()> {
    if !mesh::is_directory("an API server says itself when an object was created")? {
        return Ok(());
    }
    let route = |name: &str, created: &str, target: &str| {
        let rules = format!("- backendRefs: [{{name: {target}, port: 80}}]");
        let created = format!("metadata: {{creationTimestamp: {created}, ");
        http_route("shop", name, CART, &rules).replace("metadata: {", &created)
    };
    let files = [
        ("a.yaml", route("a", "2026-02-01T00:00:00Z", "young")),
        ("z.yaml", route("z", "2026-01-01T00:00:00Z", "old")),
        ("y.yaml", route("y", "2026-01-01T00:00:00Z", "first")),
    ];
    let shop = Shop::start(&["cart", "young", "old", "first"], &files).await?;
    assert_eq!(shop.get("cart", "/").await?.body, "first");
    shop.mesh.remove("y.yaml")?;
    shop.mesh.until("the next by name", async |_| Ok(shop.get("cart", "/").await?.body == "old")).await?;
    shop.mesh.remove("z.yaml")?;
    shop.mesh.until("the youngest is left", async |_| Ok(shop.get("cart", "/").await?.body == "young")).await?;
    shop.mesh.remove("a.yaml")?;
    shop.mesh.until("the Service itself", async |_| Ok(shop.get("cart", "/").await?.body == "cart")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_backend_answers_500_for_its_share_and_a_rule_without_backends_always() -> Result<()> {
    let rules = "
- matches: [{path: {type: PathPrefix, value: /half}}]
  backendRefs: [{name: cart, port: 80, weight: 1}, {name: not-there, port: 80, weight: 1}]
- matches: [{path: {type: PathPrefix, value: /gone}}]
  backendRefs: [{name: not-there, port: 80}]
- matches: [{path: {type: PathPrefix, value: /port}}]
  backendRefs: [{name: cart, port: 81}]
- matches: [{path: {type: PathPrefix, value: /empty}}]
";
    let shop = Shop::start(&["cart"], &[("route.yaml", http_route("shop", "invalid", CART, rules))]).await?;
    for path in ["/gone", "/port", "/empty"] {
        assert_eq!(shop.get("cart", path).await?.status, 500, "{path}");
    }
    let mut failed = 0;
    for _ in 0..400 {
        match shop.get("cart", "/half").await?.status {
            200 => {}
            500 => failed += 1,
            other => panic!("{other}"),
        }
    }
    // Five standard deviations: sqrt(400 * 0.5 * 0.5) = 10.
    assert!((150..=250).contains(&failed), "{failed} of 400 failed, 200 are due");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_route_holds_for_clients_of_its_namespace_only_and_replaces_the_producers() -> Result<()> {
    let mark = |rule: &str| {
        format!(
            "- filters:\n  - type: ResponseHeaderModifier\n    responseHeaderModifier: {{set: [{{name: x-route, value: \
             {rule}}}]}}\n  backendRefs: [{{name: cart, namespace: shop, port: 80}}]"
        )
    };
    let parent = "{kind: Service, name: cart, namespace: shop}";
    let consumer = http_route("other", "mine", parent, &mark("consumer"));
    let other = Pod::new("other", "app-1", "app").calling("cart.shop:80");
    let files = [
        ("producer.yaml", http_route("shop", "ours", parent, &mark("producer"))),
        ("consumer.yaml", consumer.clone()),
        (&*other.file(), other.yaml()),
    ];
    let shop = Shop::start(&["cart"], &files).await?;
    let _other = Sidecar::start(&shop.mesh, &other.workload()).await?;
    let seen_by_other = async || -> Result<Option<String>> {
        let answer = http::get(other.upstream("cart.shop:80"), "cart.shop", "/").await?;
        Ok(answer.header("x-route").map(str::to_owned))
    };
    assert_eq!(seen_by_other().await?.as_deref(), Some("consumer"));
    assert_eq!(shop.get("cart", "/").await?.header("x-route"), Some("producer"));
    shop.mesh.remove("consumer.yaml")?;
    shop.mesh
        .until("the producer's route is everybody's", async |_| {
            Ok(seen_by_other().await?.as_deref() == Some("producer"))
        })
        .await?;
    shop.mesh.write("consumer.yaml", &consumer)?;
    shop.mesh.until("and back", async |_| Ok(seen_by_other().await?.as_deref() == Some("consumer"))).await?;
    assert_eq!(shop.get("cart", "/").await?.header("x-route"), Some("producer"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_ref_with_a_port_governs_that_port_only() -> Result<()> {
    let object = "apiVersion: v1
kind: Service
metadata: {name: two, namespace: shop}
spec:
  selector: {app: cart}
  ports:
  - {name: http-one, port: 81, targetPort: 8080}
  - {name: http-two, port: 82, targetPort: 8080}
";
    let rules = "- backendRefs: [{name: elsewhere, port: 80}]";
    let caller = Pod::new("shop", "web-2", "web").calling("two.shop:81").calling("two.shop:82");
    let files = [
        ("two.yaml", object.to_owned()),
        ("route.yaml", http_route("shop", "one", "{kind: Service, name: two, port: 81}", rules)),
        (&*caller.file(), caller.yaml()),
    ];
    let shop = Shop::start(&["cart", "elsewhere"], &files).await?;
    let _caller = Sidecar::start(&shop.mesh, &caller.workload()).await?;
    let answer = async |port: &str| http::get(caller.upstream(port), "two.shop", "/").await;
    assert_eq!(answer("two.shop:81").await?.body, "elsewhere");
    assert_eq!(answer("two.shop:82").await?.body, "cart");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_route_matches_methods_and_splits_by_weight() -> Result<()> {
    let named = |name: &'static str| {
        let answer = move |_: &Asked| {
            with_header(reply_with_trailers(name, &[("grpc-status", "0")]), "content-type", "application/grpc")
        };
        Backend::new(name, "grpc", answer)
    };
    let rules = "
- matches: [{method: {service: shop.Cart, method: Add}}]
  backendRefs: [{name: one, port: 80}]
- matches: [{method: {service: shop.Cart}, headers: [{name: x-color, value: red}]}]
  backendRefs: [{name: two, port: 80}]
- matches: [{method: {service: shop.Split}}]
  backendRefs: [{name: one, port: 80, weight: 3}, {name: two, port: 80, weight: 1}]
";
    let files = [("route.yaml", grpc_route("shop", "grpc", CART, rules))];
    let shop = Shop::with(vec![named("cart"), named("one"), named("two")], &files).await?;
    let at: SocketAddr = shop.upstream("cart");
    let call = async |path: &str, color: &str| {
        let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("x-color", color)];
        http::send_http2(at, Method::POST, "cart.shop", path, &headers, Bytes::new()).await
    };
    let answer = call("/shop.Cart/Add", "blue").await?;
    assert_eq!((&*answer.body, answer.trailer("grpc-status")), ("one", Some("0")));
    assert_eq!(call("/shop.Cart/Add", "red").await?.body, "one", "the method is more specific than the header");
    assert_eq!(call("/shop.Cart/Remove", "red").await?.body, "two");
    let unmatched = call("/shop.Cart/Remove", "blue").await?;
    // gRPC's mapping of HTTP 404: UNIMPLEMENTED.
    let status = unmatched.header("grpc-status").or(unmatched.trailer("grpc-status"));
    assert_eq!(status, Some("12"), "{unmatched:?}");
    let mut share = 0;
    for _ in 0..400 {
        share += usize::from(call("/shop.Split/Any", "").await?.body == "two");
    }
    // Five standard deviations: sqrt(400 * 0.25 * 0.75) = 8.7.
    assert!((57..=143).contains(&share), "{share} of 400 went to the backend of weight 1 of 4, 100 are due");
    Ok(())
}
