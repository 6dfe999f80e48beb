//! What a process still waits for before it may be sent work.

use std::sync::{Arc, Mutex, PoisonError};

/// Ready when every gate is open. Clones share the gates.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Condition>>>);

/// One named condition of readiness, held by the part that knows whether it is met.
#[derive(Debug)]
pub struct Gate {
    readiness: Readiness,
    index: usize,
}

#[derive(Debug)]
struct Condition {
    name: &'static str,
    met: bool,
}

impl Readiness {
    /// Without gates, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more condition, not met yet.
    pub fn gate(&self, name: &'static str) -> Gate {
        self.locked(|conditions| {
            conditions.push(Condition { name, met: false });
            Gate { readiness: self.clone(), index: conditions.len() - 1 }
        })
    }

    /// The names of the conditions that are not met; empty when ready.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        self.locked(|conditions| conditions.iter().filter(|it| !it.met).map(|it| it.name).collect())
    }

    fn locked<R>(&self, use_them: impl FnOnce(&mut Vec<Condition>) -> R) -> R {
        use_them(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate {
    /// The condition is met. A gate that is dropped stays as it is.
    pub fn open(&self) {
        self.set(true);
    }

    /// The condition is not met, or no longer.
    pub fn close(&self) {
        self.set(false);
    }

    fn set(&self, met: bool) {
        self.readiness.locked(|conditions| {
            if let Some(condition) = conditions.get_mut(self.index) {
                condition.met = met;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_all_gates_are_open_and_names_tell_what_is_missing() {
        let readiness = Readiness::new();
        assert!(readiness.waiting_for().is_empty());
        let (config, ca) = (readiness.gate("config"), readiness.gate("ca"));
        assert_eq!(readiness.waiting_for(), ["config", "ca"]);
        config.open();
        assert_eq!(readiness.waiting_for(), ["ca"]);
        ca.open();
        assert!(readiness.waiting_for().is_empty());
        config.close();
        assert_eq!(readiness.waiting_for(), ["config"]);
    }

    #[test]
    fn a_dropped_gate_stays_as_it_was() {
        let readiness = Readiness::new();
        readiness.gate("open").open();
        drop(readiness.gate("shut"));
        assert_eq!(readiness.waiting_for(), ["shut"]);
    }
}
