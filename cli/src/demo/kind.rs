//! Which kind of sidecar a Pod has: what its annotation says, or what the reader chose for all.

use std::{collections::BTreeMap, fmt};

use anyhow::bail;
use clap::ValueEnum;
use saphyr::{LoadableYamlNode, Yaml};

const ANNOTATION: &str = "byrnie.io/proxy";

/// A kind of sidecar, as the annotation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Byrnie's own.
    Micro,
    /// Envoy.
    Envoy,
}

/// Which sidecars the Pods have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// What each Pod's annotation says: some of both kinds.
    #[default]
    Mixed,
    /// Micro-proxies; Envoy is not needed.
    Micro,
    /// Envoys.
    Envoy,
}

impl Kind {
    /// `micro`, `envoy`
    pub fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Envoy => "envoy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Choice {
    /// The kind for a Pod with this annotation. One that does not say has a micro-proxy.
    pub fn kind(self, annotation: Option<&str>) -> anyhow::Result<Kind> {
        Ok(match (self, annotation) {
            (Self::Micro, _) | (Self::Mixed, None | Some("micro")) => Kind::Micro,
            (Self::Envoy, _) | (Self::Mixed, Some("envoy")) => Kind::Envoy,
            (Self::Mixed, Some(other)) => bail!("{ANNOTATION} is {other:?}: micro and envoy are accepted"),
        })
    }

    /// The text with what was chosen in place of every annotation.
    pub fn written(self, text: &str) -> String {
        let (kind, other) = match self {
            Self::Mixed => return text.to_owned(),
            Self::Micro => (Kind::Micro, Kind::Envoy),
            Self::Envoy => (Kind::Envoy, Kind::Micro),
        };
        text.replace(&format!("{ANNOTATION}: {other}\n"), &format!("{ANNOTATION}: {kind}\n"))
    }
}

/// The annotation of each object of a file that has one, by the object's name.
pub fn annotated(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let documents = Yaml::load_from_str(text)?;
    let annotation = |document: &Yaml<'_>| {
        let metadata = document.as_mapping_get("metadata")?;
        let kind = metadata.as_mapping_get("annotations")?.as_mapping_get(ANNOTATION)?.as_str()?;
        Some((metadata.as_mapping_get("name")?.as_str()?.to_owned(), kind.to_owned()))
    };
    Ok(documents.iter().filter_map(annotation).collect())
}

/// The text less all annotations.
pub fn without(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(&format!("{ANNOTATION}: ")));
    lines.map(|line| format!("{line}\n")).collect()
}
