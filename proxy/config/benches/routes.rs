//! What it costs to find a route: the last one, and none.

use byrnie_config::{RequestHead, Resource};
use byrnie_proto::{
    Kind,
    envoy::envoy::config::route::v3::{
        Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action, route_action::ClusterSpecifier,
        route_match::PathSpecifier,
    },
};
use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;

fn body(routes: usize) -> Vec<u8> {
    let route = |number: usize| {
        let path = match number % 3 {
            0 => PathSpecifier::Path(format!("/shop/api/v1/item/{number}")),
            1 => PathSpecifier::PathSeparatedPrefix(format!("/shop/api/v1/list/{number}")),
            _ => PathSpecifier::Prefix(format!("/shop/api/v1/find/{number}/")),
        };
        let action = RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(format!("shop/{number}:80"))),
            ..Default::default()
        };
        Route {
            name: format!("rule/{number}"),
            r#match: Some(RouteMatch { path_specifier: Some(path), ..Default::default() }),
            action: Some(Action::Route(action)),
            ..Default::default()
        }
    };
    let host = VirtualHost {
        name: "host".to_owned(),
        domains: vec!["*".to_owned()],
        routes: (0..routes).map(route).collect(),
        ..Default::default()
    };
    RouteConfiguration { name: "table".to_owned(), virtual_hosts: vec![host], ..Default::default() }.encode_to_vec()
}

fn routes(bench: &mut Criterion) {
    for count in [20, 500] {
        let body = body(count);
        let Ok(Resource::Route(table)) = Resource::read(Kind::Route, "table", &body) else {
            panic!("the table is not taken");
        };
        let last = count - 1;
        let kind = ["item", "list", "find"][last % 3];
        for (name, path) in
            [("last", format!("/shop/api/v1/{kind}/{last}/")), ("none", "/shop/api/v1/other".to_owned())]
        {
            let path = if kind == "item" { path.trim_end_matches('/') } else { &path };
            let mut head = RequestHead::default();
            head.begin(b"GET", b"http", b"shop.default", path.as_bytes());
            assert_eq!(table.find(&head, || 0).is_some(), name == "last");
            bench.bench_function(&format!("find {name} of {count}"), |b| {
                b.iter(|| std::hint::black_box(table.find(std::hint::black_box(&head), || 0)));
            });
        }
    }
    let body = body(1_000);
    bench.bench_function("read 1000", |b| b.iter(|| Resource::read(Kind::Route, "table", &body)));
}

criterion_group!(benches, routes);
criterion_main!(benches);
