//! What the client offers to the rest of the process: everything that is usable, swapped whole.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use byrnie_config::{Cluster, Endpoints, Listener, Resource, RouteTable};
use byrnie_proto::Kind;
use foldhash::fast::RandomState;

use crate::held::{Good, Rejection, Version};

/// By name.
pub type Named<T> = HashMap<Arc<str>, Arc<T>, RandomState>;

/// All that is usable at one moment. Whatever is named by something in here was asked for, and is here too unless the
/// control plane did not have it or did not answer for 15 s.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Listeners.
    pub listeners: Arc<Named<Listener>>,
    /// Route tables.
    pub routes: Arc<Named<RouteTable>>,
    /// Clusters.
    pub clusters: Arc<Named<Cluster>>,
    /// Endpoints, by the name that clusters call them by.
    pub endpoints: Arc<Named<Endpoints>>,
    /// Listeners that the control plane was asked for and said are not there.
    pub absent: Arc<HashSet<Arc<str>, RandomState>>,
    /// Whether everything that was asked for at the start could serve; stays true from then on.
    pub warm: bool,
    /// What does not simply serve as the control plane has it, by kind and name.
    pub unsettled: Arc<[Unsettled]>,
    versions: [Arc<HashMap<Arc<str>, Version, RandomState>>; Kind::ALL.len()],
}

/// A resource that does not simply serve as the control plane has it. An older version may serve nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Of which kind.
    pub kind: Kind,
    /// By which name.
    pub name: Arc<str>,
    /// What keeps it.
    pub state: State,
}

/// What keeps a resource from serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The control plane did not answer yet.
    Awaited,
    /// This version is good, and what it refers to is not there yet.
    Warming(Version),
    /// This version cannot be honoured.
    Refused(Rejection),
    /// The control plane says that there is none.
    Withdrawn,
}

/// What is known of a listener that was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// It is usable.
    Serving(&'a Arc<Listener>),
    /// The control plane says that there is none: the address is not in the mesh.
    Absent,
    /// The address is in the mesh, but the listener is not usable (yet).
    Unusable(&'a State),
    /// Nothing yet.
    Unknown,
}

impl Resources {
    /// What is known of the listener `name`.
    pub fn answer(&self, name: &str) -> Answer<'_> {
        if let Some(listener) = self.listeners.get(name) {
            return Answer::Serving(listener);
        }
        if self.absent.contains(name) {
            return Answer::Absent;
        }
        let key = (Kind::Listener, name);
        match self.unsettled.binary_search_by(|unsettled| (unsettled.kind, &*unsettled.name).cmp(&key)) {
            Ok(at) => match &self.unsettled[at].state {
                State::Awaited => Answer::Unknown,
                state => Answer::Unusable(state),
            },
            Err(_) => Answer::Unknown,
        }
    }

    /// The version that serves.
    pub fn version(&self, kind: Kind, name: &str) -> Option<&Version> {
        self.versions[kind as usize].get(name)
    }

    /// All of `kind` that serve.
    pub fn versions(&self, kind: Kind) -> impl Iterator<Item = (&Arc<str>, &Version)> {
        self.versions[kind as usize].iter()
    }

    /// Puts what serves under `name`, or takes it out.
    pub(crate) fn set(&mut self, kind: Kind, name: &Arc<str>, serving: Option<&Arc<Good>>) {
        let versions = Arc::make_mut(&mut self.versions[kind as usize]);
        match serving {
            Some(good) => {
                versions.insert(name.clone(), good.version.clone());
                match &good.resource {
                    Resource::Listener(it) => drop(Arc::make_mut(&mut self.listeners).insert(name.clone(), it.clone())),
                    Resource::Route(it) => drop(Arc::make_mut(&mut self.routes).insert(name.clone(), it.clone())),
                    Resource::Cluster(it) => drop(Arc::make_mut(&mut self.clusters).insert(name.clone(), it.clone())),
                    Resource::Endpoints(it) => {
                        drop(Arc::make_mut(&mut self.endpoints).insert(name.clone(), it.clone()));
                    }
                }
            }
            None => {
                versions.remove(name);
                match kind {
                    Kind::Listener => drop(Arc::make_mut(&mut self.listeners).remove(name)),
                    Kind::Route => drop(Arc::make_mut(&mut self.routes).remove(name)),
                    Kind::Cluster => drop(Arc::make_mut(&mut self.clusters).remove(name)),
                    Kind::Endpoints => drop(Arc::make_mut(&mut self.endpoints).remove(name)),
                    Kind::Secret => {}
                }
            }
        }
    }
}
