//! How the API server is reached: by a kubeconfig, or as a Pod of the cluster.

use std::{env, io::ErrorKind, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// For a connection; the client's own 30 s would hide from a user for too long that nobody is there.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The variable by which a kubelet tells a Pod where the API server is.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// Which cluster, and as whom.
///
/// Where neither is named, a process in a cluster takes its Pod's ServiceAccount, whose token is read anew as it
/// rotates, and any other `$KUBECONFIG` or `~/.kube/config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, where it is not the current one.
    pub context: Option<String>,
}

/// Why an API server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Neither a kubeconfig nor a cluster.
    #[error(
        "there is no kubeconfig at {looked_at}, and {IN_CLUSTER} is not set, so that this process runs in no cluster"
    )]
    Nowhere {
        /// Where a kubeconfig was looked for.
        looked_at: String,
    },
    /// The kubeconfig cannot be read.
    #[error("cannot read the kubeconfig {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file, or several as `$KUBECONFIG` has them.
        path: String,
        /// Why.
        source: KubeconfigError,
    },
    /// The context is not there.
    #[error("the kubeconfig {path} has no context {context:?}; it has {}", listed(.known))]
    UnknownContext {
        /// The file.
        path: String,
        /// The context that was asked for.
        context: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// No context was asked for, and the kubeconfig has no current one.
    #[error("the kubeconfig {path} has no current context; name one by --context: it has {}", listed(.known))]
    NoContext {
        /// The file.
        path: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// What a Pod is given is not there.
    #[error("{IN_CLUSTER} is set, but what a Pod is given to call the API server is not there: {0}")]
    InCluster(#[from] InClusterError),
    /// The credentials cannot be used.
    #[error("cannot make a client of the API server {server}: {source}")]
    Client {
        /// Its URL.
        server: String,
        /// Why.
        source: kube::Error,
    },
}

impl Access {
    /// A client, which has asked nothing yet.
    pub(super) async fn client(&self) -> Result<Client, AccessError> {
        let mut config = match self.is_named() || env::var_os(IN_CLUSTER).is_none() {
            true => self.by_kubeconfig().await?,
            false => Config::incluster()?,
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        // Watches wait and try again by themselves, and tell of it.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        Client::try_from(config).map_err(|source| AccessError::Client { server, source })
    }

    async fn by_kubeconfig(&self) -> Result<Config, AccessError> {
        let path = self.looked_at();
        let unusable = |error| match error {
            KubeconfigError::FindPath => AccessError::Nowhere { looked_at: path.clone() },
            KubeconfigError::ReadConfig(source, _) if source.kind() == ErrorKind::NotFound && !self.is_named() => {
                AccessError::Nowhere { looked_at: path.clone() }
            }
            KubeconfigError::ReadConfig(source, path) => AccessError::Unreadable { path, source },
            source => AccessError::Kubeconfig { path: path.clone(), source },
        };
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let kubeconfig = kubeconfig.map_err(unusable)?;
        let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        match self.context.as_ref().or(kubeconfig.current_context.as_ref().filter(|name| !name.is_empty())) {
            None => return Err(AccessError::NoContext { path, known }),
            Some(context) if !known.contains(context) => {
                return Err(AccessError::UnknownContext { path, context: context.clone(), known });
            }
            Some(_) => {}
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)
    }

    fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Where the kubeconfig is looked for, for messages.
    fn looked_at(&self) -> String {
        let named = self.kubeconfig.as_ref().map(|path| path.display().to_string());
        let of_environment = || env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
        named.or_else(of_environment).unwrap_or_else(|| "~/.kube/config".to_owned())
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kubeconfig of this text leads to, with its path left out.
    async fn error(text: &str, context: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let access = Access { kubeconfig: Some(path), context: context.map(str::to_owned) };
        let error = access.client().await.err().unwrap().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    }

    const TWO: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: []
contexts: [{name: east, context: {cluster: c}}, {name: west, context: {cluster: other}}]
";

    #[tokio::test]
    async fn what_a_kubeconfig_lacks_is_named() {
        let lacks = "the kubeconfig config has no current context; name one by --context: it has east, west";
        assert_eq!(error(TWO, None).await, lacks);
        let unknown = "the kubeconfig config has no context \"north\"; it has east, west";
        assert_eq!(error(TWO, Some("north")).await, unknown);
        assert_eq!(error("{}", Some("north")).await, "the kubeconfig config has no context \"north\"; it has none");
        assert!(error(TWO, Some("west")).await.ends_with("failed to load the cluster of context: other"));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let access = Access { kubeconfig: Some("/nowhere/config".into()), context: None };
        let error = access.client().await.err().unwrap().to_string();
        assert!(error.starts_with("cannot read the kubeconfig /nowhere/config: No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_context_of_several_can_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, TWO).unwrap();
        let access = Access { kubeconfig: Some(path), context: Some("east".to_owned()) };
        assert!(access.client().await.is_ok());
    }
}
