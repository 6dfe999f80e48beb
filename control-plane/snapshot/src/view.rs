use std::{fmt, sync::Arc};

use byrnie_model::WorkloadName;

/// Which reading of xDS a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Envoy, and Byrnie's own proxy.
    Envoy,
    /// Proxyless gRPC.
    Grpc,
}

/// A client of the xDS server, as far as resources depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The workload that it speaks for: `node.id`.
    pub workload: WorkloadName,
    /// How it reads.
    pub dialect: Dialect,
}

/// Who is shown a resource. A narrower view hides the resource of the same name in a wider one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// One workload alone.
    Workload(WorkloadName),
    /// Clients of one dialect in one namespace.
    Namespace(Dialect, Arc<str>),
    /// All clients of one dialect.
    Dialect(Dialect),
    /// Every client.
    Common,
}

impl Client {
    /// Whether this client is shown what is in `view`.
    pub fn sees(&self, view: &View) -> bool {
        match view {
            View::Workload(workload) => self.dialect == Dialect::Envoy && *workload == self.workload,
            View::Namespace(dialect, namespace) => {
                *dialect == self.dialect && **namespace == *self.workload.namespace()
            }
            View::Dialect(dialect) => *dialect == self.dialect,
            View::Common => true,
        }
    }

    /// The views that this client is shown, the narrowest first.
    pub fn views(&self) -> [View; 4] {
        [
            View::Workload(self.workload.clone()),
            View::Namespace(self.dialect, self.workload.namespace().into()),
            View::Dialect(self.dialect),
            View::Common,
        ]
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envoy => "envoy",
            Self::Grpc => "grpc",
        })
    }
}
