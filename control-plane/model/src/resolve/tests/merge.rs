//! Sets against a slow model: routes of both kinds, of three namespaces, on some ports, as each client sees them.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    precedence::{Candidate, grpc_match, http_match, is_viable, request, rule},
    request::Request,
};
use crate::{
    Protocol, World,
    resolve::RouteTable,
    route::{Route, RouteKind},
    sample::*,
};

const CART: [(u16, Protocol); 3] = [(80, Protocol::Http1), (90, Protocol::Undeclared), (3306, Protocol::Tcp)];
const NAMES: [&str; 8] = [
    "HTTPRoute/shop/b",
    "HTTPRoute/web/a",
    "GRPCRoute/shop/a",
    "HTTPRoute/shop/a",
    "GRPCRoute/web/z",
    "HTTPRoute/ops/a",
    "HTTPRoute/shop/c",
    "HTTPRoute/web/b",
];

/// The routes that speak for a client of this namespace that calls this port (GEP-1294, "Namespace boundaries",
/// "Multiple routes for a Service", "Ports", "Route types").
fn speaking<'a>(routes: &'a [Route], client: &str, port: u16) -> Vec<&'a Route> {
    let bytes = CART.iter().any(|(number, protocol)| *number == port && *protocol == Protocol::Tcp);
    let on_port = |route: &&Route| {
        let to_cart = route.parents.iter().filter(|parent| &*parent.name == "cart");
        !bytes
            && is_viable(route)
            && to_cart.into_iter().any(|parent| parent.port.is_none() || parent.port == Some(port))
    };
    let of = |namespace: &str| -> Vec<_> {
        routes.iter().filter(|route| route.name.namespace() == namespace).filter(on_port).collect()
    };
    let mut set = of(client);
    if set.is_empty() {
        set = of("shop");
    }
    if set.iter().any(|route| route.name.kind == RouteKind::Grpc) {
        set.retain(|route| route.name.kind == RouteKind::Grpc);
    }
    set
}

fn table_for(world: &World, client: &str, port: u16) -> RouteTable {
    let mut tables = tables_of(world, "shop/cart", port);
    tables.consumers.remove(client).unwrap_or(tables.shared)
}

fn any_route(name: &'static str) -> impl Strategy<Value = Route> {
    let matches = match name.starts_with("GRPC") {
        true => grpc_match().boxed(),
        false => http_match().boxed(),
    };
    let parents = vec((select(vec!["shop/cart", "shop/api"]), option::of(select(vec![80_u16, 90, 3306]))), 0..3);
    (0..2_i64, parents, vec(rule(matches), 0..3)).prop_map(move |(created, parents, rules)| {
        let named = route(name).created(created);
        let named = parents.into_iter().fold(named, |route, (service, port)| route.on(service, port));
        Route { rules, ..named }
    })
}

fn any_routes() -> impl Strategy<Value = Vec<Route>> {
    let maybe = |name| option::of(any_route(name));
    NAMES.map(maybe).prop_map(|routes| routes.into_iter().flatten().collect())
}

fn agrees(routes: &[Route], requests: &[Request]) -> Result<(), TestCaseError> {
    let api = service("shop/api", &CART);
    let world = world([service("shop/cart", &CART), api], routes.iter().cloned());
    for client in ["shop", "web", "ops", "none"] {
        for (port, _) in CART {
            let table = table_for(&world, client, port);
            let speaking = speaking(routes, client, port);
            if speaking.is_empty() {
                prop_assert_eq!(table, RouteTable::to_itself(&service_name("shop/cart"), port));
                continue;
            }
            for request in requests {
                let found = request.routed(&table).map(|entry| (entry.name.clone(), &entry.matches));
                prop_assert_eq!(found, Candidate::best(speaking.iter().copied(), request));
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_client_gets_the_best_match_of_the_set_that_speaks_for_it(
        routes in any_routes(),
        requests in vec(request(&["/", "/a/b", "/ü", "/a.B/Get", "/a.Bcd/GetAll"]), 1..8),
    ) {
        agrees(&routes, &requests)?;
    }

    /// What a route is told and what it does are one: accepted on a port exactly where it has a say.
    #[test]
    fn a_route_is_accepted_where_it_speaks_and_only_there(routes in any_routes()) {
        let world = world([service("shop/cart", &CART), service("shop/api", &CART)], routes.iter().cloned());
        for route in &routes {
            let told = crate::attach::status(&world, route);
            prop_assert_eq!(told.len(), route.parents.len());
            for (parent, told) in route.parents.iter().zip(told).filter(|(parent, _)| &*parent.name == "cart") {
                let ports = CART.iter().map(|(port, _)| *port).filter(|port| parent.port.is_none_or(|p| p == *port));
                let speaks = |port| speaking(&routes, route.name.namespace(), port).iter().any(|r| r.name == route.name);
                prop_assert_eq!(told.conditions[0].holds, ports.into_iter().any(speaks), "{:?}", told);
            }
        }
    }
}
