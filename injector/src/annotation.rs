//! The annotations by which a Pod says what it wants of its sidecar.

use std::fmt;

pub use byrnie_source::objects::annotation::{INJECTED, STATUS};

/// `byrnie.io/inject` of a Namespace (a label, `enabled`) or a Pod (a label or annotation, `"true"` or `"false"`).
pub const INJECT: &str = "byrnie.io/inject";

/// The value of a Namespace's label that has its Pods injected.
pub const ENABLED: &str = "enabled";

/// Those by which a Pod that has a sidecar of its own says where it listens.
pub const EXPLICIT: [&str; 2] = ["byrnie.io/inbound", "byrnie.io/upstreams"];

/// What all of the mesh's annotations begin with.
pub const PREFIX: &str = "byrnie.io/";

/// Known to other parts of the mesh.
pub const OTHERS: [&str; 3] = [INJECT, STATUS, "byrnie.io/uses"];

/// An annotation that changes what is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Annotation {
    /// Which kind of sidecar.
    Proxy,
    /// Ports of the Pod that are not redirected.
    ExcludeInboundPorts,
    /// Ports that the Pod calls without its sidecar.
    ExcludeOutboundPorts,
    /// Addresses that the Pod calls without its sidecar.
    ExcludeOutboundCidrs,
    /// Users whose calls are not redirected.
    ExcludeUids,
    /// Interfaces that are left alone.
    ExcludeInterfaces,
    /// The CPU that the sidecar asks for.
    ProxyCpu,
    /// The CPU that it may take.
    ProxyCpuLimit,
    /// The memory that it asks for.
    ProxyMemory,
    /// The memory that it may take.
    ProxyMemoryLimit,
    /// What it logs.
    LogLevel,
    /// Another image of the sidecar.
    ProxyImage,
    /// How long the application goes on serving when its Pod is deleted.
    PreStopDelay,
    /// Whether who scrapes it is led to the sidecar.
    MergeMetrics,
}

impl Annotation {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Proxy,
        Self::ExcludeInboundPorts,
        Self::ExcludeOutboundPorts,
        Self::ExcludeOutboundCidrs,
        Self::ExcludeUids,
        Self::ExcludeInterfaces,
        Self::ProxyCpu,
        Self::ProxyCpuLimit,
        Self::ProxyMemory,
        Self::ProxyMemoryLimit,
        Self::LogLevel,
        Self::ProxyImage,
        Self::PreStopDelay,
        Self::MergeMetrics,
    ];

    /// The ones that say what the sidecar may take of its node.
    pub const RESOURCES: [Self; 4] = [Self::ProxyCpu, Self::ProxyMemory, Self::ProxyCpuLimit, Self::ProxyMemoryLimit];

    /// As it stands in `metadata.annotations`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "byrnie.io/proxy",
            Self::ExcludeInboundPorts => "byrnie.io/exclude-inbound-ports",
            Self::ExcludeOutboundPorts => "byrnie.io/exclude-outbound-ports",
            Self::ExcludeOutboundCidrs => "byrnie.io/exclude-outbound-cidrs",
            Self::ExcludeUids => "byrnie.io/exclude-uids",
            Self::ExcludeInterfaces => "byrnie.io/exclude-interfaces",
            Self::ProxyCpu => "byrnie.io/proxy-cpu",
            Self::ProxyCpuLimit => "byrnie.io/proxy-cpu-limit",
            Self::ProxyMemory => "byrnie.io/proxy-memory",
            Self::ProxyMemoryLimit => "byrnie.io/proxy-memory-limit",
            Self::LogLevel => "byrnie.io/log-level",
            Self::ProxyImage => "byrnie.io/proxy-image",
            Self::PreStopDelay => "byrnie.io/pre-stop-delay",
            Self::MergeMetrics => "byrnie.io/merge-metrics",
        }
    }

    /// The annotation of the name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|annotation| annotation.name() == name)
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
