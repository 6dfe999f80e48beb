//! Reads a `RouteConfiguration`.

use std::{sync::Arc, time::Duration};

use byrnie_proto::envoy::envoy::config::route::v3::{
    self as wire, DirectResponseAction, RouteAction, RouteConfiguration, VirtualHost,
    route_action::{ClusterSpecifier, HostRewriteSpecifier},
    weighted_cluster::{ClusterWeight, cluster_weight},
};

use super::{
    Action, Entry, Forward, Redirect, Respond, Retry, Route, RouteTable, StreamDuration, Target,
    conditions::Conditions, edit::Edits, hosts::Hosts, path::PathMatch, rewrite::Rewrite,
};
use crate::{
    Refused,
    fields::At,
    line::Of,
    value::{data, each, flag, number},
};

/// `RouteAction.timeout` where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(15);
/// `max_direct_response_body_size_bytes` where nothing is said.
const LARGEST_BODY: u32 = 4_096;

/// What a route inherits.
struct Outer<'t> {
    table: &'t RouteConfiguration,
    /// Of the table and the virtual host, each at its level.
    request: [Edits; 2],
    response: [Edits; 2],
    retry: Option<Arc<Retry>>,
}

impl RouteTable {
    /// Reads a `RouteConfiguration`.
    pub(crate) fn read(table: &RouteConfiguration, at: &At<'_>) -> Result<Self, Refused> {
        at.check(table)?;
        // Envoy looks clusters up for tables that stand in a listener, unless it is told not to.
        at.field("validate_clusters").only(flag(table.validate_clusters), false)?;
        let request = Edits::read(&table.request_headers_to_add, &table.request_headers_to_remove, Of::Requests, at)?;
        let response =
            Edits::read(&table.response_headers_to_add, &table.response_headers_to_remove, Of::Responses, at)?;
        let mut hosts = Hosts::new(table.ignore_port_in_host_matching);
        let mut read = Vec::with_capacity(table.virtual_hosts.len());
        let at_hosts = &at.field("virtual_hosts");
        for (place, host) in table.virtual_hosts.iter().enumerate() {
            let at = &at_hosts.index(place);
            for (index, domain) in host.domains.iter().enumerate() {
                hosts.add(domain, place, &at.field("domains").index(index))?;
            }
            read.push(virtual_host(host, table, &request, &response, at)?);
        }
        let internal = |name: &String| name.to_ascii_lowercase().into_bytes().into();
        Ok(Self {
            name: table.name.as_str().into(),
            hosts,
            routes: read,
            internal_only: table.internal_only_headers.iter().map(internal).collect(),
            cuts_parameters: table.ignore_path_parameters_in_path_matching,
        })
    }
}

fn virtual_host(
    host: &VirtualHost,
    table: &RouteConfiguration,
    request: &Edits,
    response: &Edits,
    at: &At<'_>,
) -> Result<Vec<Entry>, Refused> {
    at.check(host)?;
    at.field("name").text(&host.name)?;
    if host.domains.is_empty() {
        return Err(at.field("domains").refuse("empty; accepted: at least one"));
    }
    let own_request = Edits::read(&host.request_headers_to_add, &host.request_headers_to_remove, Of::Requests, at)?;
    let own_response = Edits::read(&host.response_headers_to_add, &host.response_headers_to_remove, Of::Responses, at)?;
    let outer = Outer {
        table,
        request: [request.clone(), own_request],
        response: [response.clone(), own_response],
        retry: match &host.retry_policy {
            Some(policy) => Some(Arc::new(Retry::read(policy, &at.field("retry_policy"))?)),
            None => None,
        },
    };
    each(&host.routes, &at.field("routes"), |route, at| outer.route(route, at))
}

impl Outer<'_> {
    fn route(&self, route: &wire::Route, at: &At<'_>) -> Result<Entry, Refused> {
        at.check(route)?;
        let at_match = &at.field("match");
        let matches = at_match.required(&route.r#match)?;
        at_match.check(matches)?;
        let path = PathMatch::read(matches, at_match)?;
        let conditions = Conditions::read(matches, at_match)?;
        let mut rewrite = None;
        let mut host = None;
        let action = match &route.action {
            Some(wire::route::Action::Route(forward)) => {
                let at = &at.field("route");
                rewrite = new_path(forward, at)?;
                host = literal_host(forward);
                Action::Forward(self.forward(forward, at)?)
            }
            Some(wire::route::Action::Redirect(redirect)) => {
                Action::Redirect(Redirect::read(redirect, &path, &at.field("redirect"))?)
            }
            Some(wire::route::Action::DirectResponse(respond)) => {
                Action::Respond(self.respond(respond, &at.field("direct_response"))?)
            }
            _ => return Err(at.refuse("no action; accepted: route, redirect, direct_response")),
        };
        let request = Edits::read(&route.request_headers_to_add, &route.request_headers_to_remove, Of::Requests, at)?;
        let response =
            Edits::read(&route.response_headers_to_add, &route.response_headers_to_remove, Of::Responses, at)?;
        let route = Route {
            name: route.name.as_str().into(),
            action,
            request: self.in_order(&self.request, request),
            response: self.in_order(&self.response, response),
            host,
            rewrite: rewrite.map(|rewrite| (rewrite, path.clone())),
        };
        let conditions = (!conditions.is_empty()).then(|| Box::new(conditions));
        Ok(Entry { path, conditions, route: Arc::new(route) })
    }

    /// The levels in the order in which they are applied: the last one wins.
    fn in_order(&self, outer: &[Edits; 2], own: Edits) -> Box<[Edits]> {
        let [table, host] = outer.clone();
        let mut levels = vec![own, host, table];
        if self.table.most_specific_header_mutations_wins {
            levels.reverse();
        }
        levels.retain(|level| !level.is_empty());
        levels.into()
    }

    fn forward(&self, forward: &RouteAction, at: &At<'_>) -> Result<Forward, Refused> {
        at.check(forward)?;
        let idle_timeout = match &forward.idle_timeout {
            Some(_) => Some(at.field("idle_timeout").limit(&forward.idle_timeout, None)?),
            None => None,
        };
        let retry = match &forward.retry_policy {
            Some(policy) => Some(Arc::new(Retry::read(policy, &at.field("retry_policy"))?)),
            None => self.retry.clone(),
        };
        let duration = match &forward.max_stream_duration {
            Some(duration) => Some(StreamDuration::read(duration, &at.field("max_stream_duration"))?),
            None => None,
        };
        Ok(Forward {
            targets: targets(forward, at)?,
            // Beside the other Envoy takes no notice of it (`FilterUtility::finalTimeout`).
            timeout: at.field("timeout").limit(&forward.timeout, Some(TIMEOUT))?.filter(|_| duration.is_none()),
            duration,
            idle_timeout,
            retry,
        })
    }

    fn respond(&self, respond: &DirectResponseAction, at: &At<'_>) -> Result<Respond, Refused> {
        at.check(respond)?;
        let status = u16::try_from(respond.status).ok().filter(|status| (200..600).contains(status));
        let status = status.ok_or_else(|| at.field("status").unlike(respond.status, "200 to 599"))?;
        let at = &at.field("body");
        let body = match &respond.body {
            Some(body) => data(body, at)?,
            None => Vec::new(),
        };
        let largest = number(self.table.max_direct_response_body_size_bytes).unwrap_or(LARGEST_BODY);
        if body.len() > largest as usize {
            return Err(at.refuse(format!("{} octets; accepted: at most {largest}", body.len())));
        }
        Ok(Respond { status, body: body.into() })
    }
}

fn new_path(forward: &RouteAction, at: &At<'_>) -> Result<Option<Rewrite>, Refused> {
    let prefix = &forward.prefix_rewrite;
    match &forward.regex_rewrite {
        None if prefix.is_empty() => Ok(None),
        None => Ok(Some(Rewrite::Matched(prefix.as_bytes().into()))),
        Some(_) if !prefix.is_empty() => Err(at.field("regex_rewrite").refuse("not beside prefix_rewrite")),
        Some(regex) => Ok(Some(Rewrite::read(regex, &at.field("regex_rewrite"))?)),
    }
}

fn literal_host(forward: &RouteAction) -> Option<Box<[u8]>> {
    match &forward.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => Some(host.as_bytes().into()),
        _ => None,
    }
}

fn targets(forward: &RouteAction, at: &At<'_>) -> Result<Vec<Target>, Refused> {
    match &forward.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => {
            let cluster = at.field("cluster").text(name)?.into();
            Ok(vec![Target { cluster, weight: 1, request: Edits::default(), response: Edits::default(), host: None }])
        }
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            let at = &at.field("weighted_clusters");
            at.check(weighted)?;
            let targets = each(&weighted.clusters, &at.field("clusters"), target)?;
            let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
            if total == 0 || total > u32::MAX.into() {
                return Err(at.field("clusters").refuse(format!("weights of {total}; accepted: 1 to {}", u32::MAX)));
            }
            Ok(targets)
        }
        _ => Err(at.refuse("no cluster; accepted: cluster, weighted_clusters")),
    }
}

fn target(target: &ClusterWeight, at: &At<'_>) -> Result<Target, Refused> {
    at.check(target)?;
    let host = match &target.host_rewrite_specifier {
        Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => {
            Some(host.as_bytes().into())
        }
        _ => None,
    };
    Ok(Target {
        cluster: at.field("name").text(&target.name)?.into(),
        weight: number(target.weight).ok_or_else(|| at.field("weight").refuse("missing"))?,
        request: Edits::read(&target.request_headers_to_add, &target.request_headers_to_remove, Of::Requests, at)?,
        response: Edits::read(&target.response_headers_to_add, &target.response_headers_to_remove, Of::Responses, at)?,
        host,
    })
}
