//! What was not the same, in as few lines as say it.

use std::{collections::BTreeMap, fmt};

use byrnie_tests::sidecar::Proxy;

use crate::{
    record::{Difference, Meant},
    world::Planes,
};

/// Of one kind of difference, so many places are told.
const PLACES: usize = 8;

/// Differences by kind: the field, the value of the baseline and the value that was found.
#[derive(Debug, Default)]
pub struct Report {
    kinds: BTreeMap<[String; 3], Vec<String>>,
    unneeded: Vec<String>,
}

impl Report {
    pub fn add(&mut self, scenario: &str, planes: Planes, difference: Difference) {
        let Difference { key, expected, found } = difference;
        let place = match planes {
            Planes { client: Proxy::Micro, server: Proxy::Envoy } => "micro, Envoy",
            Planes { client: Proxy::Envoy, server: Proxy::Micro } => "Envoy, micro",
            Planes { client: Proxy::Micro, server: Proxy::Micro } => "both micro",
            Planes { client: Proxy::Envoy, server: Proxy::Envoy } => "both Envoy",
        };
        let whose = key.attempt.map_or("", |_| "application: ");
        let attempt = key.attempt.map(|attempt| format!(", try {attempt}")).unwrap_or_default();
        let kind = [format!("{whose}{}", key.name), expected, found];
        self.kinds.entry(kind).or_default().push(format!("{scenario}: {} ({place}{attempt})", key.step));
    }

    /// A line of `differences.txt` for which there is no difference.
    pub fn unneeded(&mut self, meant: &Meant) {
        self.unneeded.push(meant.to_string());
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.unneeded.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ([name, expected, found], places) in &self.kinds {
            writeln!(f, "{name}: {} times\n    baseline: {expected}\n    found:    {found}", places.len())?;
            places.iter().take(PLACES).try_for_each(|place| writeln!(f, "      in {place}"))?;
            if places.len() > PLACES {
                writeln!(f, "      and {} more", places.len() - PLACES)?;
            }
        }
        self.unneeded.iter().try_for_each(|line| writeln!(f, "differences.txt: nothing needs this line: {line}"))
    }
}
