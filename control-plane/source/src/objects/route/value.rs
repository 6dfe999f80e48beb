//! Matches on header and query values, which both kinds of route share.

use std::sync::Arc;

use byrnie_model::route::{NameMatch, ValueMatch as Matched};
use serde::Deserialize;

use crate::{
    field::Cursor,
    objects::{check, re2},
};

/// One of `headers` or `queryParams` of a match.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueMatch {
    #[serde(rename = "type", default)]
    kind: MatchKind,
    name: Arc<str>,
    value: Arc<str>,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum MatchKind {
    #[default]
    Exact,
    RegularExpression,
}

impl MatchKind {
    /// The comparison with `value`, which is refused where it is no regular expression and should be one.
    pub(super) fn of(self, value: &Arc<str>, at: Cursor<'_>) -> NameMatch {
        match self {
            Self::Exact => NameMatch::Exact(value.clone()),
            Self::RegularExpression => {
                if let Some(why) = re2::fault(value) {
                    at.refuse(why);
                }
                NameMatch::Regex(value.clone())
            }
        }
    }
}

/// `headers`: names are case-insensitive, the first of those that differ in case counts.
pub(super) fn headers(found: &[ValueMatch], at: Cursor<'_>) -> Vec<Matched> {
    let mut headers = values(found, 4096, at, |name| name.to_ascii_lowercase().into());
    let mut known: Vec<Arc<str>> = Vec::new();
    headers.retain(|header| {
        let is_new = !known.contains(&header.name);
        known.push(header.name.clone());
        is_new
    });
    headers
}

/// `queryParams`: names are case-sensitive.
pub(super) fn query(found: &[ValueMatch], at: Cursor<'_>) -> Vec<Matched> {
    values(found, 1024, at, |name| name.into())
}

fn values(found: &[ValueMatch], longest: usize, at: Cursor<'_>, name_of: impl Fn(&str) -> Arc<str>) -> Vec<Matched> {
    at.at_most(found.len(), 16);
    let mut values = Vec::with_capacity(found.len());
    for (index, entry) in found.iter().enumerate() {
        let at = at.index(index);
        if !check::is_header_name(&entry.name) {
            at.key("name").refuse(check::not_a_header(&entry.name));
        }
        if found[..index].iter().any(|earlier| earlier.name == entry.name) {
            at.key("name").refuse(format!("{:?} is there twice", entry.name));
        }
        if entry.value.is_empty() || entry.value.len() > longest {
            let length = entry.value.len();
            at.key("value").refuse(format!("found {length} bytes, 1 to {longest} are accepted"));
        }
        values.push(Matched { name: name_of(&entry.name), value: entry.kind.of(&entry.value, at.key("value")) });
    }
    values
}
