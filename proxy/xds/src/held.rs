//! One subscribed resource: what the server said of it last, and what serves.

use std::{fmt, sync::Arc, time::Instant};

use byrnie_config::{Reference, Refused, Resource};

/// The version of a resource, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(Arc<str>);

/// A version of a resource that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Rejection {
    /// Which one it is.
    pub version: Version,
    /// The field and the problem.
    pub why: Refused,
}

/// A resource that was read and can be honoured.
#[derive(Debug)]
pub(crate) struct Good {
    pub version: Version,
    pub resource: Resource,
    /// What has to be there before it can serve.
    pub references: Box<[Reference]>,
    /// What it was read from, where that is to be kept on disk.
    pub body: Option<Box<[u8]>>,
}

/// What the server said. A bad update never takes a good one out of service.
#[derive(Debug)]
pub(crate) enum Held {
    /// Nothing yet. `since` counts only while there is a stream: a control plane that is away answers nothing, and that
    /// says nothing of the resource.
    Awaited { since: Option<Instant> },
    /// This.
    Live(Arc<Good>),
    /// Something that cannot be honoured.
    Refused { serving: Option<Arc<Good>>, why: Rejection },
    /// It is not there. The subscription stands (rule 19).
    Withdrawn,
}

/// One name.
#[derive(Debug)]
pub(crate) struct Entry {
    pub held: Held,
    /// What serves: the last version all of whose references were answered.
    pub serving: Option<Arc<Good>>,
    /// Subscribed to by name, not only by `*`.
    pub named: bool,
    /// The server of this stream knows of the subscription.
    pub told: bool,
    /// Something that serves, or is about to, refers to it; of listeners, that it is wanted at all.
    pub referred: bool,
}

impl Version {
    /// Empty where the server gave none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Held {
    /// What shall serve as soon as it is warm.
    pub fn candidate(&self) -> Option<&Arc<Good>> {
        match self {
            Self::Live(good) => Some(good),
            Self::Refused { serving, .. } => serving.as_ref(),
            Self::Awaited { .. } | Self::Withdrawn => None,
        }
    }
}

impl Entry {
    pub fn awaited(named: bool, since: Option<Instant>) -> Self {
        Self { held: Held::Awaited { since }, serving: None, named, told: false, referred: true }
    }

    /// Whether what serves is not what the server said last.
    pub fn is_superseded(&self) -> bool {
        match (&self.serving, self.held.candidate()) {
            (Some(serving), Some(candidate)) => !Arc::ptr_eq(serving, candidate),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// A version that is not warm yet.
    pub fn warming(&self) -> Option<&Arc<Good>> {
        let candidate = self.held.candidate()?;
        let serves = self.serving.as_ref().is_some_and(|serving| Arc::ptr_eq(serving, candidate));
        (!serves).then_some(candidate)
    }
}
