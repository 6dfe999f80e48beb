//! Conditions on the path: what most routes of a table fail by.

use byrnie_proto::envoy::envoy::config::route::v3::{RouteMatch, route_match::PathSpecifier};

use crate::{Refused, fields::At, re2::Pattern};

/// `RouteMatch.path_specifier` with `case_sensitive`, on the path without query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Any: an empty prefix, or `/`, with which every path but `*` begins.
    Any(Box<[u8]>),
    /// A text.
    Text {
        /// In lower case where case does not matter.
        text: Box<[u8]>,
        /// What may follow.
        after: After,
        /// Unless `case_sensitive`.
        ignore_case: bool,
        /// Decides most cases without a look at the text.
        quick: Quick,
    },
    /// By RE2.
    Regex(Pattern),
}

/// What may follow a text that a path begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Anything.
    Anything,
    /// Nothing, or a slash and anything.
    Segments,
}

/// The last eight octets of a text, or all where there are fewer: prefixes of one table begin alike and end differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quick {
    length: usize,
    word: u64,
    mask: u64,
}

/// A path as it is matched.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    text: &'a [u8],
    /// The first eight octets.
    head: u64,
}

impl PathMatch {
    /// Reads the path of a match.
    pub fn read(conditions: &RouteMatch, at: &At<'_>) -> Result<Self, Refused> {
        let ignore_case = conditions.case_sensitive.is_some_and(|sensitive| !sensitive.value);
        let text = |text: &str, after| {
            let text: Box<[u8]> = if ignore_case { text.to_ascii_lowercase().into_bytes() } else { text.into() }.into();
            Self::Text { quick: Quick::of(&text), text, after, ignore_case }
        };
        match &conditions.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) if prefix.is_empty() || prefix == "/" => {
                Ok(Self::Any(prefix.as_bytes().into()))
            }
            Some(PathSpecifier::Prefix(prefix)) => Ok(text(prefix, After::Anything)),
            Some(PathSpecifier::Path(path)) => Ok(text(path, After::Nothing)),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                if prefix.len() < 2 || prefix.ends_with('/') || prefix.contains(['?', '#']) {
                    let accepted = "a path without `?` and `#` that does not end with `/`";
                    return Err(at.field("path_separated_prefix").unlike(prefix, accepted));
                }
                Ok(text(prefix, After::Segments))
            }
            Some(PathSpecifier::SafeRegex(regex)) => Ok(Self::Regex(Pattern::whole(regex, &at.field("safe_regex"))?)),
            Some(PathSpecifier::ConnectMatcher(_) | PathSpecifier::PathMatchPolicy(_)) | None => {
                Err(at.refuse("no path; accepted: prefix, path, path_separated_prefix, safe_regex"))
            }
        }
    }

    /// Whether the path is taken.
    #[inline]
    pub fn takes(&self, path: Path<'_>) -> bool {
        match self {
            Self::Any(prefix) => path.text.starts_with(prefix),
            Self::Text { text, after, ignore_case: false, quick } => {
                quick.may_take(path) && Self::fits(text, *after, path.text, <[u8]>::eq)
            }
            Self::Text { text, after, ignore_case: true, .. } => {
                Self::fits(text, *after, path.text, <[u8]>::eq_ignore_ascii_case)
            }
            Self::Regex(pattern) => pattern.takes(path.text),
        }
    }

    #[inline]
    fn fits(text: &[u8], after: After, path: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let Some((front, rest)) = path.split_at_checked(text.len()) else { return false };
        let follows = match after {
            After::Nothing => rest.is_empty(),
            After::Anything => true,
            After::Segments => matches!(rest.first(), None | Some(b'/')),
        };
        follows && same(front, text)
    }

    /// How much of a path that is taken was matched: all by a pattern.
    pub fn length(&self, path: &[u8]) -> usize {
        match self {
            Self::Any(text) | Self::Text { text, .. } => text.len(),
            Self::Regex(_) => path.len(),
        }
    }
}

impl Quick {
    fn of(text: &[u8]) -> Self {
        let word = first_eight(&text[text.len().saturating_sub(8)..]);
        let mask = if text.len() < 8 { (1 << (8 * text.len())) - 1 } else { u64::MAX };
        Self { length: text.len(), word, mask }
    }

    #[inline]
    fn may_take(&self, path: Path<'_>) -> bool {
        let word = match self.length.checked_sub(8) {
            None => path.head,
            Some(start) => match path.text.get(start..).and_then(<[u8]>::first_chunk) {
                Some(word) => u64::from_le_bytes(*word),
                None => return false,
            },
        };
        word & self.mask == self.word
    }
}

impl<'a> Path<'a> {
    /// A path without its query.
    #[inline]
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, head: first_eight(text) }
    }
}

/// In the order of memory, zero where there are none.
#[inline]
fn first_eight(text: &[u8]) -> u64 {
    let mut word = [0; 8];
    let length = text.len().min(8);
    word[..length].copy_from_slice(&text[..length]);
    u64::from_le_bytes(word)
}

/// A path up to its query or fragment.
#[inline]
pub fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr2(b'?', b'#', path).map_or(path, |end| &path[..end])
}
