//! Keeps the registration right, and knows whether the API server would be answered.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use byrnie_keeper::Current;
use byrnie_runtime::metrics::{Counter, Metrics};
use byrnie_source::{CallError, Calls, Cluster, Few, ObjectPath, Scope};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    registration::{self, Unregistered},
    trial::{self, TrialError},
};

/// Who owns the roots in the registration.
const MANAGER: &str = "byrnie-injector";
/// The ConfigMap in which the control plane writes the roots, and its key.
const TRUST: (&str, &str) = ("byrnie-trust", "root.crt");

/// Between two looks, where all is well and where it is not. What changes is looked at when it does.
const PERIOD: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
/// Two replicas that see different things for a moment do not write in turn without a pause.
const SETTLE: Duration = Duration::from_millis(200);
/// For a look as a whole: a call that hangs must not leave an old answer standing.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// Whether the API server would be answered, or why not.
pub type Readiness = Result<(), Arc<str>>;

/// What has to be so that the API server is answered.
#[derive(Debug)]
pub struct Steward {
    installation: Installation,
    calls: Calls,
    configuration: Few,
    trust: Few,
    current: Arc<Current>,
    writes: Counter,
    told: watch::Sender<Readiness>,
}

/// Where all of it is.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The namespace of the injector.
    pub namespace: Arc<str>,
    /// The name of the MutatingWebhookConfiguration.
    pub configuration: Arc<str>,
    /// The name by which the API server calls.
    pub name: ServerName<'static>,
    /// Where this process answers.
    pub address: SocketAddr,
}

/// Why the API server would not be answered.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nothing to answer with.
    #[error("no certificate of the control plane yet")]
    NoCertificate,
    /// The API server did not tell yet.
    #[error("the API server has not told what is there")]
    Unknown,
    /// Nobody calls.
    #[error("the MutatingWebhookConfiguration {0} is not there")]
    NotThere(Arc<str>),
    /// Nothing to be proven by.
    #[error("the ConfigMap {0}/{name} with the roots of the mesh is not there", name = TRUST.0)]
    NoRoots(Arc<str>),
    /// What should be there cannot be written.
    #[error("the MutatingWebhookConfiguration {name} does not hold the roots of the mesh: {source}")]
    Unwritten {
        /// Its name.
        name: Arc<str>,
        /// What the API server says.
        source: CallError,
    },
    /// What is there is of no use.
    #[error("the MutatingWebhookConfiguration {name}: {source}")]
    Unregistered {
        /// Its name.
        name: Arc<str>,
        /// What is wrong.
        source: Unregistered,
    },
    /// An own call went wrong.
    #[error("an admission of its own failed: {0}")]
    Trial(#[from] TrialError),
    /// Something hangs.
    #[error("it could not be told within {LOOK_LIMIT:?}")]
    Late,
}

impl Steward {
    /// Starts to follow what is there; `told` is changed when the readiness does.
    pub fn follow(
        cluster: &Cluster,
        installation: Installation,
        current: Arc<Current>,
        metrics: &Metrics,
        told: watch::Sender<Readiness>,
    ) -> Self {
        let writes =
            metrics.counter("byrnie_injector_ca_bundle_writes_total", "Roots that were put into the registration");
        Self {
            calls: cluster.calls(),
            configuration: cluster.follow(Scope::webhook_configuration(&installation.configuration)),
            trust: cluster.follow(Scope::config_map(&installation.namespace, TRUST.0)),
            installation,
            current,
            writes,
            told,
        }
    }

    /// Keeps the registration for as long as it runs. The owner drops it.
    pub async fn keep(mut self) {
        let mut identity = self.current.watch();
        loop {
            let outcome = timeout(LOOK_LIMIT, self.look()).await.unwrap_or(Err(NotReady::Late));
            let pause = if outcome.is_ok() { PERIOD } else { RETRY };
            self.tell(outcome);
            tokio::select! {
                _ = self.configuration.changed() => sleep(SETTLE).await,
                _ = self.trust.changed() => sleep(SETTLE).await,
                Ok(()) = identity.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Mends the registration where it is to be mended, and tries whether that is enough.
    async fn look(&self) -> Result<(), NotReady> {
        let configuration = self.configuration()?;
        let written = self.write(&configuration).await;
        if self.current.load().is_none() {
            return Err(NotReady::NoCertificate);
        }
        // What could not be written may still do.
        let name = || Arc::clone(&self.installation.configuration);
        let held = match &written {
            Ok(Some(written)) => written,
            Ok(None) | Err(_) => &*configuration,
        };
        let roots = registration::roots(held);
        let roots = match (roots, written) {
            (Ok(roots), _) => roots,
            (Err(_), Err(error)) => return Err(error),
            (Err(source), Ok(_)) => return Err(NotReady::Unregistered { name: name(), source }),
        };
        for roots in roots {
            trial::admit(self.installation.address, &self.installation.name, roots).await?;
        }
        Ok(())
    }

    fn configuration(&self) -> Result<Arc<Value>, NotReady> {
        let held = self.configuration.now().ok_or(NotReady::Unknown)?;
        let name = &self.installation.configuration;
        held.get(&("".into(), Arc::clone(name))).cloned().ok_or_else(|| NotReady::NotThere(Arc::clone(name)))
    }

    /// Puts the roots where they are missing; the configuration then, where it was written.
    async fn write(&self, configuration: &Value) -> Result<Option<Value>, NotReady> {
        let trust = self.trust.now().ok_or(NotReady::Unknown)?;
        let namespace = &self.installation.namespace;
        let map = trust.get(&(Arc::clone(namespace), TRUST.0.into()));
        let pem = map.and_then(|map| map["data"][TRUST.1].as_str());
        let pem = pem.ok_or_else(|| NotReady::NoRoots(Arc::clone(namespace)))?;
        let Some(document) = registration::due(configuration, pem) else { return Ok(None) };
        let name = &self.installation.configuration;
        match self.calls.apply(&ObjectPath::webhook_configuration(name), MANAGER, &document).await {
            Ok(written) => {
                info!(configuration = %name, "wrote the roots of the mesh into the registration");
                self.writes.inc();
                Ok(Some(written))
            }
            Err(source) => {
                warn!(configuration = %name, error = %source, "the roots of the mesh were not written into the registration");
                Err(NotReady::Unwritten { name: Arc::clone(name), source })
            }
        }
    }

    fn tell(&self, outcome: Result<(), NotReady>) {
        let now: Readiness = outcome.map_err(|error| error.to_string().into());
        self.told.send_if_modified(|told| {
            let is_news = *told != now;
            match &now {
                _ if !is_news => debug!("looked at the registration"),
                Ok(()) => info!("ready: an admission of its own went well"),
                Err(why) => warn!(%why, "not ready"),
            }
            *told = now;
            is_news
        });
    }
}
