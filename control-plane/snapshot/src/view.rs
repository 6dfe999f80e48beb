use std::{fmt, sync::Arc};

use byrnie_model::WorkloadName;

/// Which reading of xDS a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Envoy.
    Envoy,
    /// Byrnie's own proxy. It reads what Envoy reads; its wildcards cover what is its workload's, and it asks for the
    /// rest by name.
    Micro,
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
    /// What is built when one of Byrnie's own proxies asks for it by name, and kept by nobody else.
    Asked,
    /// Every client.
    Common,
}

impl Client {
    /// Whether this client is shown what is in `view`.
    pub fn sees(&self, view: &View) -> bool {
        match view {
            View::Workload(workload) => self.dialect != Dialect::Grpc && *workload == self.workload,
            View::Namespace(dialect, namespace) => {
                *dialect == self.dialect.reads() && **namespace == *self.workload.namespace()
            }
            View::Dialect(dialect) => *dialect == self.dialect || *dialect == self.dialect.reads(),
            View::Asked => self.dialect == Dialect::Micro,
            View::Common => true,
        }
    }

    /// Whether a wildcard of this client covers what is in `view`.
    pub fn covers(&self, view: &View) -> bool {
        let covered =
            self.dialect != Dialect::Micro || matches!(view, View::Workload(_) | View::Dialect(Dialect::Micro));
        covered && self.sees(view)
    }

    /// The views whose resources are built in advance and that this client sees, the narrowest first.
    pub fn seen(&self) -> impl Iterator<Item = View> {
        self.views().into_iter().filter(|view| self.sees(view))
    }

    /// The views whose resources are built in advance, the narrowest first; this client [`sees`](Self::sees) most of
    /// them. Those that are a micro-proxy's alone come before the others.
    pub(crate) fn views(&self) -> [View; 5] {
        [
            View::Workload(self.workload.clone()),
            View::Dialect(Dialect::Micro),
            View::Namespace(self.dialect.reads(), self.workload.namespace().into()),
            View::Dialect(self.dialect.reads()),
            View::Common,
        ]
    }
}

impl Dialect {
    /// The dialect whose resources a client of this one reads.
    fn reads(self) -> Self {
        match self {
            Self::Envoy | Self::Micro => Self::Envoy,
            Self::Grpc => Self::Grpc,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envoy => "envoy",
            Self::Micro => "byrnie-proxy",
            Self::Grpc => "grpc",
        })
    }
}
