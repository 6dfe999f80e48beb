//! What a NACK blames.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use byrnie_model::Origin;
use byrnie_snapshot::{Resource, Version};

/// How much of a client's error text is kept.
const TEXT_LIMIT: usize = 4096;
/// How much of it is searched for names.
const SEARCH_LIMIT: usize = 64 * 1024;

/// A response that the client refused, in part or as a whole.
#[derive(Clone, Debug)]
pub struct Nack {
    /// The client's words.
    pub text: String,
    /// When it came.
    pub at: Instant,
    /// The resources that the text names, or the only one that there was. Empty where it cannot be told.
    pub blamed: Vec<Blamed>,
    /// Whether the client accepted something newer in their place.
    pub cured: bool,
    pub(crate) nonce: u64,
    /// The blamed names that nothing was accepted for since.
    pub(crate) open: BTreeSet<Arc<str>>,
}

/// A resource that a client refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// Its name.
    pub name: Arc<str>,
    /// The version that was refused.
    pub version: Version,
    /// The objects that it was made from.
    pub origins: Vec<Origin>,
}

impl Nack {
    /// The NACK of a response that held `sent`.
    pub(crate) fn new(nonce: u64, text: &str, sent: &[Arc<Resource>], at: Instant) -> Self {
        let blamed: Vec<Blamed> = blame(text, sent).into_iter().map(|resource| Blamed::of(resource)).collect();
        let open = blamed.iter().map(|blamed| blamed.name.clone()).collect();
        Self { text: clip(text, TEXT_LIMIT).to_owned(), at, blamed, cured: false, nonce, open }
    }

    /// The client accepted the response `nonce`, or has no interest in these names any more.
    pub(crate) fn settle<'a>(&mut self, nonce: u64, names: impl IntoIterator<Item = &'a Arc<str>>) {
        if nonce <= self.nonce || self.cured {
            return;
        }
        for name in names {
            self.open.remove(name);
        }
        self.cured = self.open.is_empty();
    }
}

impl Blamed {
    fn of(resource: &Resource) -> Self {
        Self { name: resource.name().clone(), version: resource.version(), origins: resource.origins().to_vec() }
    }
}

/// The resources whose name stands in `text`; where there is none, the only one that was sent.
fn blame<'a>(text: &str, sent: &'a [Arc<Resource>]) -> Vec<&'a Arc<Resource>> {
    let text = clip(text, SEARCH_LIMIT);
    let named: Vec<_> = sent.iter().filter(|resource| mentions(text, resource.name())).collect();
    match sent {
        [only] if named.is_empty() => vec![only],
        _ => named,
    }
}

/// Whether `name` stands in `text` as a whole: `shop/cart:80` does not stand in `route/shop/cart:8080`.
fn mentions(text: &str, name: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    let whole = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| joins(c) || c == '.') && !after.is_some_and(joins)
    };
    !name.is_empty() && text.match_indices(name).any(|(at, _)| whole(at))
}

fn clip(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_only_as_a_whole() {
        let text = "Error adding/updating cluster(s) shop/cart:80: duplicate name, route/shop/cart:8080";
        assert!(mentions(text, "shop/cart:80"));
        assert!(mentions(text, "route/shop/cart:8080"));
        assert!(!mentions(text, "shop/cart:8"));
        assert!(!mentions(text, "shop/cart:8080"));
        assert!(!mentions(text, "cart:80"));
        assert!(!mentions(text, ""));
    }
}
