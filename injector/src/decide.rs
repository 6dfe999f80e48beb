//! Whether a Pod gets a sidecar, and why.

use std::fmt;

use serde_json::Value;

use crate::{
    annotation::{ENABLED, EXPLICIT, INJECT},
    choices::{Place, Wish},
    inject::injected,
    pod,
    refusal::Refusal,
    settings::{Namespace, Settings},
};

/// Namespaces without which a cluster does not start: nothing there may wait for the mesh.
const EXCLUDED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The pod security standards that forbid the init container its capabilities.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Marks what a kubelet runs by files of its own: the API server only mirrors it.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What becomes of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It gets a sidecar, or what of it is missing, and becomes this Pod.
    Inject(Cause, Value),
    /// It stays as it is.
    Skip(Reason),
}

/// Who asks for a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The Pod.
    Pod(Place),
    /// The Namespace of this name, by its label.
    Namespace(String),
}

/// Why a Pod gets no sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The namespace is the cluster's or the mesh's own.
    NamespaceExcluded(String),
    /// Nobody asks for it.
    NamespaceNotLabelled {
        /// The namespace.
        namespace: String,
        /// What its label says instead.
        found: Option<String>,
    },
    /// The Pod says no.
    OptedOut(Place),
    /// A Pod on its node's network has no traffic of its own.
    HostNetwork,
    /// A kubelet runs it, whatever the API server holds.
    Mirror,
    /// There is no iptables.
    Windows,
    /// It has a sidecar that its author wrote; the annotation says where that listens.
    Explicit(&'static str),
    /// The init container would not be admitted.
    PodSecurity {
        /// The namespace.
        namespace: String,
        /// The standard that it enforces.
        standard: String,
    },
    /// There is nothing to add.
    AlreadyInjected,
}

/// Decides by the Pod's label, else its annotation, else its Namespace; then what cannot work is left out. What stands
/// in the Pod and cannot be meant is an error, for which the Pod is refused.
pub fn decide(pod: &Value, namespace: &Namespace, settings: &Settings) -> Result<Decision, Refusal> {
    let name = &namespace.name;
    if EXCLUDED.contains(&name.as_str()) || *name == settings.namespace {
        return Ok(Decision::Skip(Reason::NamespaceExcluded(name.clone())));
    }
    let cause = match asked(pod, namespace)? {
        Ok(cause) => cause,
        Err(reason) => return Ok(Decision::Skip(reason)),
    };
    if let Some(reason) = impossible(pod, namespace) {
        return Ok(Decision::Skip(reason));
    }
    let done = injected(pod, settings)?;
    Ok(match done == *pod {
        true => Decision::Skip(Reason::AlreadyInjected),
        false => Decision::Inject(cause, done),
    })
}

fn asked(pod: &Value, namespace: &Namespace) -> Result<Result<Cause, Reason>, Refusal> {
    let label = namespace.labels.get(INJECT);
    let name = || namespace.name.clone();
    Ok(match Wish::of(pod)? {
        Some(wish) if wish.inject => Ok(Cause::Pod(wish.place)),
        Some(wish) => Err(Reason::OptedOut(wish.place)),
        None if label.is_some_and(|label| label == ENABLED) => Ok(Cause::Namespace(name())),
        None => Err(Reason::NamespaceNotLabelled { namespace: name(), found: label.cloned() }),
    })
}

fn impossible(pod: &Value, namespace: &Namespace) -> Option<Reason> {
    if pod::annotation(pod, MIRROR).is_some() {
        return Some(Reason::Mirror);
    }
    if pod.pointer("/spec/hostNetwork").is_some_and(|value| *value == true) {
        return Some(Reason::HostNetwork);
    }
    if is_windows(pod) {
        return Some(Reason::Windows);
    }
    if let Some(explicit) = EXPLICIT.into_iter().find(|name| pod::annotation(pod, name).is_some()) {
        return Some(Reason::Explicit(explicit));
    }
    let standard = namespace.labels.get(ENFORCE).filter(|standard| ["baseline", "restricted"].contains(&&***standard));
    standard.map(|standard| Reason::PodSecurity { namespace: namespace.name.clone(), standard: standard.clone() })
}

fn is_windows(pod: &Value) -> bool {
    let selected =
        ["kubernetes.io/os", "beta.kubernetes.io/os"].map(|label| pod.pointer("/spec/nodeSelector")?.get(label));
    pod::text(pod, "/spec/os/name") == Some("windows") || selected.iter().flatten().any(|os| **os == "windows")
}

impl Reason {
    /// Whether somebody wants it so, or nothing is left to do; all else is a surprise to who asked for a sidecar.
    pub fn is_meant(&self) -> bool {
        match self {
            Self::NamespaceNotLabelled { .. } | Self::OptedOut(_) | Self::Explicit(_) | Self::AlreadyInjected => true,
            Self::NamespaceExcluded(_)
            | Self::HostNetwork
            | Self::Mirror
            | Self::Windows
            | Self::PodSecurity { .. } => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(place) => write!(f, "{place} is \"true\""),
            Self::Namespace(name) => write!(f, "its namespace {name} has the label {INJECT}={ENABLED}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NamespaceExcluded(name) => write!(f, "nothing in the namespace {name} is injected"),
            Self::NamespaceNotLabelled { namespace, found: None } => {
                write!(
                    f,
                    "neither its namespace {namespace} has the label {INJECT}={ENABLED}, nor the Pod {INJECT}=true"
                )
            }
            Self::NamespaceNotLabelled { namespace, found: Some(found) } => {
                write!(f, "its namespace {namespace} has the label {INJECT}={found}; {ENABLED} has it injected")
            }
            Self::OptedOut(place) => write!(f, "{place} is \"false\""),
            Self::HostNetwork => f.write_str("it is on the network of its node (spec.hostNetwork)"),
            Self::Mirror => f.write_str("it is a static Pod of a kubelet, which the API server cannot change"),
            Self::Windows => f.write_str("it runs on Windows, where nothing can be redirected"),
            Self::Explicit(annotation) => {
                write!(f, "it has a sidecar of its own, as its annotation {annotation} says")
            }
            Self::PodSecurity { namespace, standard } => write!(
                f,
                "its namespace {namespace} enforces the pod security standard {standard}, which forbids the capability \
                 NET_ADMIN that byrnie-init needs; privileged lets it be injected"
            ),
            Self::AlreadyInjected => f.write_str("it has its sidecar already"),
        }
    }
}
