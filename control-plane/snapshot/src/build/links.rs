use std::collections::{BTreeMap, BTreeSet};

/// Who depends on what: kept by source, asked by target.
#[derive(Debug)]
pub struct Links<S, T> {
    targets: BTreeMap<S, BTreeSet<T>>,
    sources: BTreeMap<T, BTreeSet<S>>,
}

impl<S: Ord + Clone, T: Ord + Clone> Links<S, T> {
    /// Sets all that `source` depends on.
    pub fn set(&mut self, source: &S, targets: BTreeSet<T>) {
        for target in self.targets.remove(source).into_iter().flatten() {
            let Some(sources) = self.sources.get_mut(&target) else { continue };
            sources.remove(source);
            if sources.is_empty() {
                self.sources.remove(&target);
            }
        }
        for target in &targets {
            self.sources.entry(target.clone()).or_default().insert(source.clone());
        }
        if !targets.is_empty() {
            self.targets.insert(source.clone(), targets);
        }
    }

    /// Who depends on `target`.
    pub fn to(&self, target: &T) -> impl Iterator<Item = &S> {
        self.sources.get(target).into_iter().flatten()
    }
}

impl<S, T> Default for Links<S, T> {
    fn default() -> Self {
        Self { targets: BTreeMap::new(), sources: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_no_longer_depends_on_is_forgotten() {
        let mut links = Links::default();
        links.set(&"a", BTreeSet::from([1, 2]));
        links.set(&"b", BTreeSet::from([2]));
        links.set(&"a", BTreeSet::from([3]));
        assert_eq!(links.to(&1).count(), 0);
        assert_eq!(links.to(&2).collect::<Vec<_>>(), [&"b"]);
        links.set(&"b", BTreeSet::new());
        assert_eq!(links.sources.keys().collect::<Vec<_>>(), [&3]);
        assert_eq!(links.targets.keys().collect::<Vec<_>>(), [&"a"]);
    }
}
