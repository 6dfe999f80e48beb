use byrnie_proto::envoy::{
    envoy::{
        config::{
            core::v3::{
                HeaderValue, HeaderValueOption, RuntimeFractionalPercent, header_value_option::HeaderAppendAction,
            },
            route::v3::{
                self as wire, DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RedirectAction, RetryPolicy,
                RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
                header_matcher::HeaderMatchSpecifier,
                query_parameter_matcher::QueryParameterMatchSpecifier,
                redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier},
                route_action::{ClusterSpecifier, HostRewriteSpecifier},
                route_match::PathSpecifier,
                weighted_cluster::{ClusterWeight, cluster_weight},
            },
        },
        r#type::{
            matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher, string_matcher::MatchPattern},
            v3::{FractionalPercent, Int64Range, fractional_percent::DenominatorType},
        },
    },
    google::protobuf::BoolValue,
};
use proptest::prelude::*;

mod changing;
mod choosing;
mod matching;

use super::*;
use crate::{Refused, fields::At, value::testing::set};

fn to(cluster: &str) -> wire::route::Action {
    wire::route::Action::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..Default::default()
    })
}

fn when(path: PathSpecifier) -> RouteMatch {
    RouteMatch { path_specifier: Some(path), ..Default::default() }
}

fn prefix(path: &str) -> RouteMatch {
    when(PathSpecifier::Prefix(path.to_owned()))
}

fn route(name: &str, matches: RouteMatch, action: wire::route::Action) -> wire::Route {
    wire::Route { name: name.to_owned(), r#match: Some(matches), action: Some(action), ..Default::default() }
}

fn host(domains: &[&str], routes: Vec<wire::Route>) -> VirtualHost {
    let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
    VirtualHost { name: "host".to_owned(), domains, routes, ..Default::default() }
}

fn table(routes: Vec<wire::Route>) -> RouteConfiguration {
    RouteConfiguration { name: "table".to_owned(), virtual_hosts: vec![host(&["*"], routes)], ..Default::default() }
}

fn read(table: &RouteConfiguration) -> Result<RouteTable, Refused> {
    RouteTable::read(table, &At::ROOT)
}

fn request(path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.begin(b"GET", b"http", b"cart", path.as_bytes());
    for (name, value) in fields {
        head.fields_mut().push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn found(table: &RouteTable, request: &RequestHead) -> Option<String> {
    table.find(request, || 0).map(|route| route.name.to_string())
}

fn takes(matches: RouteMatch, request: &RequestHead) -> bool {
    found(&read(&table(vec![route("r", matches, to("a"))])).unwrap(), request).is_some()
}

fn path(matches: &RouteMatch, path: &str) -> bool {
    takes(matches.clone(), &request(path, &[]))
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ignore_case: false }
}
