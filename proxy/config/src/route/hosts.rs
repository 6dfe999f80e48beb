//! Which virtual host a request is for.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{Refused, fields::At};

/// Virtual hosts by their domains. An exact domain comes first, then the longest suffix, the longest prefix, the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    /// `*.example.com` without the star, the longest first.
    suffixes: Vec<(Box<[u8]>, usize)>,
    /// `example.*` without the star, the longest first.
    prefixes: Vec<(Box<[u8]>, usize)>,
    /// `*`.
    rest: Option<usize>,
    /// `ignore_port_in_host_matching`.
    ignores_port: bool,
}

/// Longer hosts are looked up by an allocation.
const SHORT: usize = 255;

impl Hosts {
    /// Without any.
    pub fn new(ignores_port: bool) -> Self {
        Self { ignores_port, ..Self::default() }
    }

    /// `domain` is for the host at this place.
    pub fn add(&mut self, domain: &str, place: usize, at: &At<'_>) -> Result<(), Refused> {
        let domain = at.text(domain)?.to_ascii_lowercase();
        let known = |list: &[(Box<[u8]>, usize)], text: &str| list.iter().any(|(known, _)| **known == *text.as_bytes());
        let twice = if domain == "*" {
            self.rest.replace(place).is_some()
        } else if let Some(suffix) = domain.strip_prefix('*') {
            let twice = known(&self.suffixes, suffix);
            self.suffixes.push((suffix.as_bytes().into(), place));
            self.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
            twice
        } else if let Some(prefix) = domain.strip_suffix('*') {
            let twice = known(&self.prefixes, prefix);
            self.prefixes.push((prefix.as_bytes().into(), place));
            self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            twice
        } else {
            self.exact.insert(domain.as_bytes().into(), place).is_some()
        };
        if twice { Err(at.refuse(format!("{domain} stands twice; accepted: each domain once"))) } else { Ok(()) }
    }

    /// The place of the host of `authority`.
    #[inline]
    pub fn find(&self, authority: &[u8]) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.rest;
        }
        self.find_named(authority)
    }

    fn find_named(&self, authority: &[u8]) -> Option<usize> {
        if authority.is_empty() {
            return None;
        }
        let host = if self.ignores_port { without_port(authority) } else { authority };
        let mut short = [0; SHORT];
        match short.get_mut(..host.len()) {
            Some(lower) => {
                lower.copy_from_slice(host);
                lower.make_ascii_lowercase();
                self.find_lower(lower)
            }
            None => self.find_lower(&host.to_ascii_lowercase()),
        }
    }

    fn find_lower(&self, host: &[u8]) -> Option<usize> {
        // The star stands for at least one character.
        let fits = |part: &[u8], found: bool| found && part.len() < host.len();
        let suffix = || self.suffixes.iter().find(|(suffix, _)| fits(suffix, host.ends_with(suffix)));
        let prefix = || self.prefixes.iter().find(|(prefix, _)| fits(prefix, host.starts_with(prefix)));
        let wild = || suffix().or_else(prefix).map(|(_, place)| *place);
        self.exact.get(host).copied().or_else(wild).or(self.rest)
    }
}

/// Up to the last colon, unless it stands within brackets.
pub fn without_port(authority: &[u8]) -> &[u8] {
    match memchr::memrchr2(b':', b']', authority) {
        Some(place) if authority[place] == b':' => &authority[..place],
        _ => authority,
    }
}
