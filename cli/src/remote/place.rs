//! Which control plane a verb asks, by its options and `$KUBECONFIG`.

use std::{env, ffi::OsStr, fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use byrnie_control_plane::cluster_names::{CONTROL_PLANE, NAMESPACE};
use byrnie_source::{Access, Cluster, Scope};
use serde_json::Value;

use super::{ControlPlane, Door};

/// Where `byrnie run` shows its debug pages.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 15014);

/// The label of the control plane's Pods, and its value.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", CONTROL_PLANE);

/// `--admin-address`, or what names a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Admin {
    /// Admin address of the control plane [default: 127.0.0.1:15014, where no cluster is named]
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["kubeconfig", "context", "byrnie_namespace"])]
    admin_address: Option<SocketAddr>,
    #[command(flatten)]
    installation: Installation,
}

/// An installation in a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Installation {
    #[command(flatten)]
    kubeconfig: Kubeconfig,
    /// The namespace of the control plane in the cluster [default: byrnie-system]
    #[arg(long, value_name = "NAMESPACE")]
    byrnie_namespace: Option<String>,
}

/// A cluster, and as whom it is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Kubeconfig {
    /// Ask the cluster of this kubeconfig [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Ask the cluster of this context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Which control plane is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Address(SocketAddr),
    Cluster,
}

impl Admin {
    /// The control plane that is meant.
    pub async fn control_plane(&self) -> Result<ControlPlane> {
        match self.place(env::var_os("KUBECONFIG").as_deref()) {
            Place::Address(address) => Ok(ControlPlane { doors: vec![Door::Address(address)] }),
            Place::Cluster => self.installation.control_plane(&self.installation.kubeconfig.cluster().await?).await,
        }
    }

    /// The address that is named, else the cluster that is, else the one that `$KUBECONFIG` names, else this machine.
    fn place(&self, kubeconfig: Option<&OsStr>) -> Place {
        let Kubeconfig { kubeconfig: file, context } = &self.installation.kubeconfig;
        let is_named = file.is_some() || context.is_some() || self.installation.byrnie_namespace.is_some();
        match self.admin_address {
            Some(address) => Place::Address(address),
            None if is_named || kubeconfig.is_some_and(|paths| !paths.is_empty()) => Place::Cluster,
            None => Place::Address(ADDRESS),
        }
    }
}

impl Installation {
    /// The cluster.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// The namespace of the control plane.
    pub fn namespace(&self) -> &str {
        self.byrnie_namespace.as_deref().unwrap_or(NAMESPACE)
    }

    /// The Pods of the control plane, whatever their state.
    pub async fn pods(&self, cluster: &Cluster) -> Result<Vec<Value>, byrnie_source::CallError> {
        let (label, value) = LABEL;
        cluster.calls().list(&Scope::pods_with(self.namespace(), label, value)).await
    }

    /// The replicas that are ready.
    pub async fn control_plane(&self, cluster: &Cluster) -> Result<ControlPlane> {
        let where_ = || format!("namespace {} of {}", self.namespace(), self.kubeconfig);
        let pods = self.pods(cluster).await.with_context(|| format!("cannot list the Pods of {}", where_()))?;
        let ready: Vec<&str> = ready(&pods).collect();
        if ready.is_empty() {
            let (label, value) = LABEL;
            let found = match pods.len() {
                0 => "none is there".to_owned(),
                count => format!("{count} there, none ready"),
            };
            bail!(
                "no ready Pod with the label {label}={value} in {}: {found}. `byrnie check` tells more; \
                 --byrnie-namespace names another namespace, --admin-address a control plane elsewhere",
                where_()
            );
        }
        let namespace: Arc<str> = self.namespace().into();
        let door = |name: &str| {
            let (cluster, namespace) = (cluster.clone(), Arc::clone(&namespace));
            Door::Pod { cluster, namespace, name: name.into() }
        };
        Ok(ControlPlane { doors: ready.into_iter().map(door).collect() })
    }
}

impl Kubeconfig {
    /// A handle on the API server.
    pub async fn cluster(&self) -> Result<Cluster> {
        let access = Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        Ok(Cluster::connect(&access).await?)
    }
}

impl fmt::Display for Kubeconfig {
    /// `the cluster of context east of the kubeconfig prod.yaml`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cluster of ")?;
        if let Some(context) = &self.context {
            write!(f, "context {context} of ")?;
        }
        match &self.kubeconfig {
            Some(file) => write!(f, "the kubeconfig {}", file.display()),
            None => match env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty()) {
                Some(paths) => write!(f, "$KUBECONFIG, {paths}"),
                None => f.write_str("the kubeconfig"),
            },
        }
    }
}

/// The names of the Pods that can be asked.
fn ready(pods: &[Value]) -> impl Iterator<Item = &str> {
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
        ready.any(|condition| condition["status"] == "True") && pod["metadata"]["deletionTimestamp"].is_null()
    };
    pods.iter().filter(is_ready).filter_map(|pod| pod["metadata"]["name"].as_str())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        admin: Admin,
    }

    fn place(line: &str, kubeconfig: Option<&str>) -> Place {
        let admin = Line::parse_from(std::iter::once("verb").chain(line.split_whitespace())).admin;
        admin.place(kubeconfig.map(OsStr::new))
    }

    #[test]
    fn an_address_goes_before_a_cluster_and_a_cluster_before_this_machine() {
        let elsewhere = Place::Address("127.0.0.9:1".parse().unwrap());
        assert_eq!(place("", None), Place::Address(ADDRESS));
        assert_eq!(place("", Some("")), Place::Address(ADDRESS));
        assert_eq!(place("", Some("a:b")), Place::Cluster);
        assert_eq!(place("--admin-address 127.0.0.9:1", Some("a")), elsewhere);
        for named in ["--kubeconfig a", "--context a", "--byrnie-namespace a"] {
            assert_eq!(place(named, None), Place::Cluster, "{named}");
            let both = format!("verb --admin-address 127.0.0.9:1 {named}");
            assert!(Line::try_parse_from(both.split(' ')).is_err(), "{named}");
        }
    }

    #[test]
    fn a_pod_is_asked_that_is_ready_and_not_going() {
        let pod = |name: &str, ready: &str, change: Value| {
            let conditions = json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]);
            json!({"metadata": {"name": name, "deletionTimestamp": change}, "status": {"conditions": conditions}})
        };
        let pods = [
            pod("a", "True", Value::Null),
            pod("b", "False", Value::Null),
            pod("c", "True", json!("2026-01-01T00:00:00Z")),
            json!({"metadata": {"name": "d"}}),
            pod("e", "True", Value::Null),
        ];
        assert_eq!(ready(&pods).collect::<Vec<_>>(), ["a", "e"]);
    }
}
