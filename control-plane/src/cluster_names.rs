//! What things of the mesh are called in a cluster: the control plane makes or looks for them, and so does the command.

/// The namespace of the control plane, where nothing else is said.
pub const NAMESPACE: &str = "byrnie-system";
/// The control plane: its Deployment, Service, ServiceAccount and Lease, and its Pods' label `app.kubernetes.io/name`.
pub const CONTROL_PLANE: &str = "byrnie-control-plane";
/// The injector: its Deployment, Service, ServiceAccount and MutatingWebhookConfiguration.
pub const INJECTOR: &str = "byrnie-injector";
/// The Service by which replicas find each other.
pub const PEERS: &str = "byrnie-control-plane-peers";
/// The Secret of keys that are made here.
pub const CA_SECRET: &str = "byrnie-ca";
/// The ConfigMap of the roots.
pub const TRUST_CONFIG_MAP: &str = "byrnie-trust";
/// The key of it that holds them, PEM.
pub const TRUST_KEY: &str = "root.crt";
/// The label that puts a namespace into the mesh, and its value.
pub const INJECT: (&str, &str) = ("byrnie.io/inject", "enabled");
