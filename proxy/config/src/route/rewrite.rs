//! Another path for a request: `prefix_rewrite`, `regex_rewrite`. The query stays.

use byrnie_proto::envoy::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::path::{PathMatch, without_query};
use crate::{Refused, fields::At, re2::Pattern};

/// How a path is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// What was matched is replaced: the prefix, or the whole path.
    Matched(Box<[u8]>),
    /// Each part that the pattern finds is replaced.
    Found(Pattern, Substitution),
}

/// A text with groups put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl Rewrite {
    /// Reads a substitution by pattern.
    pub fn read(regex: &RegexMatchAndSubstitute, at: &At<'_>) -> Result<Self, Refused> {
        at.check(regex)?;
        let at_pattern = at.field("pattern");
        let pattern = Pattern::part(at_pattern.required(&regex.pattern)?, &at_pattern)?;
        let groups = pattern.regex().captures_len() - 1;
        let substitution = Substitution::read(&regex.substitution, groups, &at.field("substitution"))?;
        Ok(Self::Found(pattern, substitution))
    }

    /// `path` and its query, changed.
    pub fn apply(&self, path: &[u8], matched: &PathMatch) -> Vec<u8> {
        let bare = without_query(path);
        match self {
            Self::Matched(text) => {
                let rest = matched.length(bare);
                [&**text, &path[rest.min(path.len())..]].concat()
            }
            Self::Found(pattern, substitution) => {
                let mut out = Vec::with_capacity(path.len() + 16);
                let mut at = 0;
                for groups in pattern.regex().captures_iter(bare) {
                    let whole = groups.get_match();
                    out.extend_from_slice(&bare[at..whole.start()]);
                    for part in &substitution.0 {
                        match part {
                            Part::Text(text) => out.extend_from_slice(text),
                            Part::Group(group) => out.extend(groups.get(*group).map_or(&[][..], |m| m.as_bytes())),
                        }
                    }
                    at = whole.end();
                }
                out.extend_from_slice(&path[at..]);
                out
            }
        }
    }
}

impl Substitution {
    /// RE2's: `\N` is a group, `\\` a backslash.
    fn read(text: &str, groups: usize, at: &At<'_>) -> Result<Self, Refused> {
        let (mut parts, mut plain) = (Vec::new(), Vec::new());
        let mut rest = text.bytes();
        while let Some(octet) = rest.next() {
            if octet != b'\\' {
                plain.push(octet);
                continue;
            }
            match rest.next() {
                Some(b'\\') => plain.push(b'\\'),
                Some(digit @ b'0'..=b'9') if usize::from(digit - b'0') <= groups => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Group((digit - b'0').into()));
                }
                _ => return Err(at.unlike(text, &format!(r"`\0` to `\{groups}` and `\\` behind a backslash"))),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts.into()))
    }
}
