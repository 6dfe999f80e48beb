use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use byrnie_model::{ObjectRef, Update};

use crate::findings::Finding;

/// Changes that come together are taken together: a checkout, an object that moves from one file to another, a
/// deployment. So long nothing may come, and so long they wait at most.
pub(crate) const SETTLE: Duration = Duration::from_millis(4);
pub(crate) const LONGEST_SETTLE: Duration = Duration::from_millis(20);

/// What changed, and all that is to be told.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What changed since the batch before.
    pub updates: Vec<Update>,
    /// All current findings, those of earlier batches included.
    pub findings: Vec<Finding>,
    /// The objects of an API server that cannot be read, and at which generation.
    pub unreadable: BTreeMap<ObjectRef, i64>,
    /// When the first of the changes happened.
    pub changed_at: Instant,
}
