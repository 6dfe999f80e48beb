//! `StringMatcher`.

use byrnie_proto::envoy::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use memchr::memmem;

use crate::{
    Refused,
    fields::{At, fields},
    re2::Pattern,
};

fields! {
    StringMatcher {
        ignore_case: honoured "not with `safe_regex`"
        ; match_pattern: MatchPattern {
            Exact exact: honoured,
            Prefix prefix: honoured "not empty",
            Suffix suffix: honoured "not empty",
            SafeRegex safe_regex: honoured,
            Contains contains: honoured "not empty",
            Custom custom: refused,
        }
    }
}

/// What a text has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// In letters of ASCII of any case, if the flag says so.
    Text(TextKind, Box<[u8]>, IgnoreCase),
    /// By RE2.
    Regex(Pattern),
}

/// Where a text has to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// From end to end.
    Exact,
    /// In front.
    Prefix,
    /// At the end.
    Suffix,
    /// Anywhere.
    Contains,
}

/// Whether upper and lower case are the same.
pub type IgnoreCase = bool;

impl TextMatch {
    /// Reads a `StringMatcher`.
    pub fn read(matcher: &StringMatcher, at: &At<'_>) -> Result<Self, Refused> {
        at.check(matcher)?;
        let part = |kind, field, text: &str| Ok((kind, at.field(field).text(text)?.as_bytes().into()));
        let (kind, text): (_, Box<[u8]>) = match &matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => (TextKind::Exact, text.as_bytes().into()),
            Some(MatchPattern::Prefix(text)) => part(TextKind::Prefix, "prefix", text)?,
            Some(MatchPattern::Suffix(text)) => part(TextKind::Suffix, "suffix", text)?,
            Some(MatchPattern::Contains(text)) => part(TextKind::Contains, "contains", text)?,
            Some(MatchPattern::SafeRegex(regex)) => {
                at.field("ignore_case").only(matcher.ignore_case, false)?;
                return Ok(Self::Regex(Pattern::whole(regex, &at.field("safe_regex"))?));
            }
            Some(MatchPattern::Custom(_)) | None => return Err(at.field("exact").refuse("missing")),
        };
        Ok(Self::Text(kind, text, matcher.ignore_case))
    }

    /// Whether `text` is like that.
    #[inline]
    pub fn takes(&self, text: &[u8]) -> bool {
        match self {
            Self::Text(kind, wanted, false) => match kind {
                TextKind::Exact => text == &**wanted,
                TextKind::Prefix => text.starts_with(wanted),
                TextKind::Suffix => text.ends_with(wanted),
                TextKind::Contains => memmem::find(text, wanted).is_some(),
            },
            Self::Text(kind, wanted, true) => {
                let same = |part: Option<&[u8]>| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted));
                match kind {
                    TextKind::Exact => same(Some(text)),
                    TextKind::Prefix => same(text.get(..wanted.len())),
                    TextKind::Suffix => same(text.len().checked_sub(wanted.len()).map(|start| &text[start..])),
                    TextKind::Contains => text.windows(wanted.len()).any(|part| same(Some(part))),
                }
            }
            Self::Regex(pattern) => pattern.takes(text),
        }
    }
}
