//! The route table of a Service port: routes merged, put in order of precedence, backends looked up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Origin, Service, ServiceName, ServicePort, World,
    route::{Filters, Match, Redirect, RouteRetry},
};

/// The tables of one Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// For clients of every namespace without a table of its own.
    pub shared: RouteTable,
    /// For clients of namespaces that have consumer routes.
    pub consumers: BTreeMap<Arc<str>, RouteTable>,
}

/// What to do with a request: the first entry that matches; where none does, 404.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// In order of precedence.
    pub entries: Vec<Entry>,
}

/// One match and what is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which requests.
    pub matches: Match,
    /// What is done with them.
    pub action: Action,
    /// Header edits and rewrite of the rule (its redirect is in `action`).
    pub filters: Filters,
    /// `timeouts.request`; `None` = not said.
    pub request_timeout: Option<Duration>,
    /// `timeouts.backendRequest`; `None` = not said.
    pub backend_timeout: Option<Duration>,
    /// `retry`; `None` = not said.
    pub retry: Option<RouteRetry>,
    /// The route object; `None` for a Service without routes.
    pub origin: Option<Origin>,
    /// A name for logs: `HTTPRoute/shop/cart/rule/0` or, where the rule has a name, `.../rule/NAME`; `default`
    /// for a Service without routes.
    pub name: String,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sent to one of these, by weight. At least one weight is above 0.
    Forward(Vec<Destination>),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with this status: 500 where no backend takes anything.
    Respond(u16),
}

/// A backend with its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The service port; `None` where the reference leads nowhere, and its share is answered with 500.
    pub target: Option<(ServiceName, u16)>,
    /// Its share, above 0.
    pub weight: u32,
    /// Header edits and rewrite for this backend only.
    pub filters: Filters,
}

/// The tables of `port` of `service`.
pub fn tables(world: &World, service: &Service, port: &ServicePort) -> Tables {
    let _ = world;
    Tables { shared: RouteTable::to_itself(&service.name, port.number), consumers: BTreeMap::new() }
}

impl RouteTable {
    /// The table of a Service that has no routes: everything goes to the port that was called.
    pub fn to_itself(service: &ServiceName, port: u16) -> Self {
        let destination = Destination { target: Some((service.clone(), port)), weight: 1, filters: Filters::default() };
        let entry = Entry {
            matches: Match::default(),
            action: Action::Forward(vec![destination]),
            filters: Filters::default(),
            request_timeout: None,
            backend_timeout: None,
            retry: None,
            origin: None,
            name: "default".to_owned(),
        };
        Self { entries: vec![entry] }
    }
}
