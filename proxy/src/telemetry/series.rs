//! From keys to cells: a worker's own table before the registry that all workers share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    cells::Cells,
    key::{Found, Key, Lookup},
    labels::{self, Labels},
    registry::Registry,
};

/// For so long after the registry had no room it is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The series of one kind as one worker sees them.
#[derive(Debug)]
pub struct Series<C, V> {
    known: Lookup<V>,
    /// In place of series that found no room, by kind of key.
    overflow: [Option<Arc<C>>; 4],
    full_until: Option<Instant>,
}

impl<C: Cells, V: Found + Clone> Series<C, V> {
    pub fn new() -> Self {
        Self { known: Lookup::new(), overflow: Default::default(), full_until: None }
    }

    /// What counts for `key`, if that is known.
    #[inline]
    pub fn find(&self, key: &Key<'_>) -> Option<&V> {
        self.known.find(key)
    }

    /// What counts for `key` from now on; `make` makes it of cells. What finds no room is counted with others like it.
    #[cold]
    pub fn enter(
        &mut self,
        key: &Key<'_>,
        registry: &Registry<Labels, C>,
        labels: impl Fn() -> Labels,
        now: Instant,
        make: impl FnOnce(Arc<C>) -> V,
    ) -> V {
        if let (Some(cells), Some(until)) = (self.overflowing(key), self.full_until)
            && now < until
        {
            return make(cells);
        }
        match registry.register(labels(), now) {
            Ok(cells) => {
                self.full_until = None;
                let value = make(cells);
                self.known.insert(key, value.clone());
                value
            }
            Err(labels) => {
                self.full_until = Some(now + PAUSE);
                let fresh = || registry.register_anyway(labels::overflow(&labels), now);
                let cells = self.overflowing(key).unwrap_or_else(fresh);
                self.overflow[key.kind()] = Some(Arc::clone(&cells));
                make(cells)
            }
        }
    }

    fn overflowing(&self, key: &Key<'_>) -> Option<Arc<C>> {
        self.overflow[key.kind()].clone().filter(|cells| !cells.life().is_over())
    }
}
