//! Where the desired state comes from, and how far it is.

use std::{collections::BTreeMap, fmt, time::Duration};

use byrnie_runtime::metrics::{Collector, ConstGauge, DescriptorEncoder, EncodeMetric};
use byrnie_source::{Batch, Cluster, Directory, Kubernetes, Standing, WatchState, Watches};
use tracing::warn;

use crate::settings::{Mode, StartError};

/// How often it is looked at what an API server has not told yet.
const LOOK: Duration = Duration::from_secs(3);

/// The source.
#[derive(Debug)]
pub enum Source {
    /// A directory, with what it held when it was opened until that is taken.
    Directory(Directory, Option<Batch>),
    /// An API server, and what it tells.
    Kubernetes(Cluster, Kubernetes),
}

impl Source {
    /// Opens it: a directory is read, an API server is only begun to be asked.
    pub async fn open(mode: &Mode) -> Result<Self, StartError> {
        Ok(match mode {
            Mode::Directory { config, .. } => {
                let (directory, first) = Directory::open(config)?;
                Self::Directory(directory, Some(first))
            }
            Mode::Following { access, .. } | Mode::Installed { access, .. } => {
                let cluster = Cluster::connect(access).await?;
                let watched = cluster.watch();
                Self::Kubernetes(cluster, watched)
            }
        })
    }

    /// The API server.
    pub fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Directory(..) => None,
            Self::Kubernetes(cluster, _) => Some(cluster),
        }
    }

    /// All that is there at first. An API server takes its time, and has as much as it needs; what is missing is logged.
    pub async fn first(&mut self) -> Batch {
        let watches = self.watches();
        let mut told = String::new();
        loop {
            let missing = tokio::select! {
                batch = self.next() => return batch,
                () = tokio::time::sleep(LOOK) => watches.as_ref().map(missing).unwrap_or_default(),
            };
            if missing != told {
                warn!(missing, "waiting for the API server");
                told = missing;
            }
        }
    }

    /// The next change; the first one is all that is there. Cancel-safe.
    pub async fn next(&mut self) -> Batch {
        match self {
            Self::Directory(directory, first) => match first.take() {
                Some(first) => first,
                None => directory.next().await,
            },
            Self::Kubernetes(_, watched) => watched.next().await,
        }
    }

    /// How the watches of an API server stand.
    pub fn watches(&self) -> Option<Watches> {
        match self {
            Self::Directory(..) => None,
            Self::Kubernetes(_, watched) => Some(watched.watches()),
        }
    }
}

/// `Pod, Service: connection refused; HTTPRoute`
fn missing(watches: &Watches) -> String {
    let mut kinds: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let standings = watches.now();
    for standing in standings.iter().filter(|standing| standing.state == WatchState::Listing) {
        let why = standing.failing.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        kinds.entry(why).or_default().push(standing.kind.as_str());
    }
    let groups: Vec<_> = kinds.iter().map(|(why, kinds)| format!("{}{why}", kinds.join(", "))).collect();
    groups.join("; ")
}

/// The watches as metrics.
pub struct WatchFigures(pub Watches);

impl fmt::Debug for WatchFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchFigures").finish_non_exhaustive()
    }
}

impl Collector for WatchFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        type Figure = (&'static str, &'static str, fn(&Standing) -> i64);
        let figures: [Figure; 3] = [
            ("byrnie_watch_objects", "objects known of the API server", |it| it.objects.try_into().unwrap_or(i64::MAX)),
            ("byrnie_watch_synced", "1 where all objects are known", |it| i64::from(it.state != WatchState::Listing)),
            ("byrnie_watch_failing", "1 where the API server does not answer", |it| i64::from(it.failing.is_some())),
        ];
        let standings = self.0.now();
        for (name, help, figure) in figures {
            let metric_type = ConstGauge::new(0i64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            for standing in standings.iter() {
                let gauge = ConstGauge::new(figure(standing));
                gauge.encode(family.encode_family(&[("kind", standing.kind.as_str())])?)?;
            }
        }
        Ok(())
    }
}
