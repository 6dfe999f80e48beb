//! A request, and whether a match takes it: the words of Gateway API read plainly.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex},
};

use regex::Regex;

use crate::{
    resolve::{Entry, RouteTable},
    route::{Match, NameMatch, PathMatch, ValueMatch},
};

#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn get(target: &str, headers: &[(&str, &str)]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: headers.iter().copied().map(owned).collect(),
            query: query.map(owned).collect(),
        }
    }

    /// The first entry that takes it.
    pub(super) fn routed<'a>(&self, table: &'a RouteTable) -> Option<&'a Entry> {
        table.entries.iter().find(|entry| self.is_taken_by(&entry.matches))
    }

    pub(super) fn is_taken_by(&self, matches: &Match) -> bool {
        self.path_is_taken_by(&matches.path)
            && matches.method.as_deref().is_none_or(|method| method == self.method)
            && matches.headers.iter().all(|wanted| has(&self.headers, wanted))
            && matches.query.iter().all(|wanted| has(&self.query, wanted))
    }

    fn path_is_taken_by(&self, path: &PathMatch) -> bool {
        match path {
            PathMatch::Exact(exact) => self.path == **exact,
            PathMatch::Prefix(prefix) => {
                let wanted = prefix.split('/').filter(|segment| !segment.is_empty());
                let mut found = self.path.split('/').skip(1);
                wanted.into_iter().all(|segment| found.next() == Some(segment))
            }
            PathMatch::Regex(pattern) => whole(pattern, &self.path),
            PathMatch::Grpc { service, method } => {
                let mut parts = self.path.split('/').skip(1);
                let (Some(s), Some(m), None) = (parts.next(), parts.next(), parts.next()) else { return false };
                service.as_ref().is_none_or(|name| is(name, s)) && method.as_ref().is_none_or(|name| is(name, m))
            }
        }
    }
}

fn has(found: &BTreeMap<String, String>, wanted: &ValueMatch) -> bool {
    found.get(&*wanted.name).is_some_and(|value| is(&wanted.value, value))
}

fn is(wanted: &NameMatch, found: &str) -> bool {
    match wanted {
        NameMatch::Exact(exact) => **exact == *found,
        NameMatch::Regex(pattern) => whole(pattern, found),
    }
}

/// Each pattern is compiled once: property tests ask for the same few thousands of times.
fn whole(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap();
    let regex = compiled.entry(pattern.to_owned());
    regex.or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).unwrap()).is_match(text)
}
