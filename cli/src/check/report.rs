use std::fmt;

use byrnie_control_plane::cluster_names::CONTROL_PLANE as NAME;
use byrnie_source::CallError;
use serde_json::{Value, json};

/// How a check ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    #[default]
    Ok,
    /// The mesh works, or it is not known that it does not; somebody should look.
    Warning,
    /// Something does not work.
    Fault,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    outcome: Outcome,
    found: String,
    /// What to do about it.
    hint: Option<String>,
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Ok, found: found.into(), hint: None }
    }

    /// Somebody should look.
    pub fn warning(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Warning, found: found.into(), hint: Some(hint.into()) }
    }

    /// Something does not work.
    pub fn fault(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fault, ..Self::warning(name, found, hint) }
    }

    /// Whether something does not work.
    pub fn is_fault(&self) -> bool {
        self.outcome == Outcome::Fault
    }

    /// What is not known is no fault.
    pub fn unknown(name: &'static str, what: &str, error: &CallError) -> Self {
        let hint = match error {
            CallError::Forbidden(_) => "not checked: run it as a user who may read this",
            _ => "not checked: try again",
        };
        Self::warning(name, format!("{what}: {error}"), hint)
    }
}

impl Report {
    /// Adds a check.
    pub fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The worst outcome.
    pub fn worst(&self) -> Outcome {
        self.checks.iter().map(|check| check.outcome).max().unwrap_or_default()
    }

    /// For programs.
    pub fn document(&self) -> Value {
        let one = |check: &Check| {
            let outcome = check.outcome.to_string();
            json!({"check": check.name, "result": outcome, "found": check.found, "hint": check.hint})
        };
        self.checks.iter().map(one).collect()
    }

    /// For people: a line each, and below it what to do.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let line = |check: &Check| {
            let outcome = check.outcome.to_string();
            let hint = check.hint.iter().map(|hint| format!("{:11}{hint}\n", ""));
            format!("{outcome:7}  {:width$}  {}\n{}", check.name, check.found, hint.collect::<String>())
        };
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let (faults, warnings) = (count(Outcome::Fault), count(Outcome::Warning));
        let sum = format!("\n{faults} faults, {warnings} warnings, {} good\n", count(Outcome::Ok));
        self.checks.iter().map(line).chain([sum]).collect()
    }
}

/// What to do where the control plane has not done its part.
pub fn log(namespace: &str) -> String {
    format!("see the log: kubectl logs --namespace {namespace} deployment/{NAME}")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_with_what_to_do_below_it() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Outcome::Ok);
        report.add(Check::ok("api-server", "Kubernetes v1.36.3"));
        report.add(Check::warning("lease", "held by nobody", "look"));
        assert_eq!(report.worst(), Outcome::Warning);
        report.add(Check::unknown("keys", "Secret", &CallError::Forbidden("no".to_owned())));
        report.add(Check::fault("trust", "missing", "run"));
        assert_eq!(report.worst(), Outcome::Fault);
        let lines = [
            "ok       api-server  Kubernetes v1.36.3",
            "warning  lease       held by nobody",
            "           look",
            "warning  keys        Secret: no",
            "           not checked: run it as a user who may read this",
            "fault    trust       missing",
            "           run",
            "",
            "1 faults, 2 warnings, 1 good",
        ];
        assert_eq!(report.text().lines().collect::<Vec<_>>(), lines);
        let expected = json!({"check": "lease", "result": "warning", "found": "held by nobody", "hint": "look"});
        assert_eq!(report.document()[1], expected);
    }
}
