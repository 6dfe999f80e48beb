//! One resource of any kind.

use std::sync::Arc;

use byrnie_proto::Kind;

use crate::{Cluster, Endpoints, Listener, Refused, RouteTable};

/// A resource that was read and can be honoured.
#[derive(Clone, Debug)]
pub enum Resource {
    /// LDS.
    Listener(Arc<Listener>),
    /// RDS.
    Route(Arc<RouteTable>),
    /// CDS.
    Cluster(Arc<Cluster>),
    /// EDS.
    Endpoints(Arc<Endpoints>),
}

/// What a resource needs before it can serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Of which kind.
    pub kind: Kind,
    /// By which name.
    pub name: Arc<str>,
}

impl Resource {
    /// Reads the message `body` of a resource of `kind`.
    pub fn read(_kind: Kind, _name: &str, _body: &[u8]) -> Result<Self, Refused> {
        todo_by_reading_code()
    }

    /// What has to be there first: routes and clusters of a listener, clusters of a route, endpoints of a cluster.
    pub fn references(&self) -> Vec<Reference> {
        Vec::new()
    }
}

fn todo_by_reading_code() -> Result<Resource, Refused> {
    Err(Refused { path: String::new(), problem: "reading is not written yet".to_owned() })
}
