//! Regular expressions as RE2 reads them, by the `regex` crate.
//!
//! Both are of one family. Where they part, a pattern is written anew: `\d \w \s \b` are ASCII in RE2 (and `\s` has no
//! vertical tab), classes hold no sets and no other classes, `\Q...\E` quotes. Characters are Unicode in both, and an
//! octet that is not UTF-8 is matched by nothing.

use std::fmt;

use byrnie_proto::envoy::envoy::r#type::matcher::v3::{RegexMatcher, regex_matcher::EngineType};
use regex::bytes::{Regex, RegexBuilder};

use crate::{
    Refused,
    fields::{At, fields},
};

/// Of a compiled pattern, in octets. RE2 as Envoy sets it up takes far less.
const LARGEST: usize = 1 << 20;

fields! {
    RegexMatcher {
        regex: honoured "RE2, not empty"
        ; engine_type: EngineType { GoogleRe2 google_re2: idle "RE2 is the only one" }
    }
}

/// A pattern; equal to one of the same text.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// A pattern that has to take a text from end to end.
    pub fn whole(matcher: &RegexMatcher, at: &At<'_>) -> Result<Self, Refused> {
        Self::read(matcher, at, |translated| format!(r"\A(?:{translated})\z"))
    }

    /// A pattern that is looked for in a text.
    pub fn part(matcher: &RegexMatcher, at: &At<'_>) -> Result<Self, Refused> {
        Self::read(matcher, at, |translated| translated)
    }

    fn read(matcher: &RegexMatcher, at: &At<'_>, framed: impl FnOnce(String) -> String) -> Result<Self, Refused> {
        at.check(matcher)?;
        let at = &at.field("regex");
        let text = at.text(&matcher.regex)?;
        let translated = translate(text).map_err(|problem| at.unlike(text, &format!("RE2 ({problem})")))?;
        let regex = RegexBuilder::new(&framed(translated)).size_limit(LARGEST).build();
        let regex = regex.map_err(|error| at.unlike(text, &format!("RE2 ({})", one_line(&error))))?;
        Ok(Self { text: text.into(), regex })
    }

    /// Whether `text` is taken.
    pub fn takes(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The compiled pattern.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The last line of an error says what is wrong; those before it show where.
fn one_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The pattern as the `regex` crate has to read it.
fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    while let Some(c) = reader.next() {
        match c {
            '\\' => drop(reader.escape(false)?),
            '[' => reader.class()?,
            '(' => reader.group()?,
            _ => reader.out.push(c),
        }
    }
    Ok(reader.out)
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest.strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// After a backslash. Whether it was a set of characters.
    fn escape(&mut self, in_class: bool) -> Result<bool, String> {
        let Some(c) = self.next() else { return Err("a backslash at the end".to_owned()) };
        let negated = c.is_ascii_uppercase();
        let set = match c {
            'd' | 'D' => "0-9",
            'w' | 'W' => "0-9A-Za-z_",
            's' | 'S' => r"\t\n\f\r\x20",
            'b' | 'B' if !in_class => {
                self.out.push_str(if negated { r"(?-u:\B)" } else { r"(?-u:\b)" });
                // `\b{start}` is not RE2's.
                return if self.rest.starts_with('{') { Err("a repeated \\b".to_owned()) } else { Ok(false) };
            }
            'Q' if !in_class => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = rest;
                return Ok(false);
            }
            'A' | 'z' if !in_class => "",
            'p' | 'P' | 'x' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => "",
            // Ends of words in the `regex` crate.
            '<' | '>' => {
                self.out.push(c);
                return Ok(false);
            }
            _ if c.is_ascii_punctuation() && c != '_' => "",
            _ => return Err(format!("\\{c} is no escape")),
        };
        match (set, in_class, negated) {
            ("", _, _) => self.out.extend(['\\', c]),
            (set, true, false) => self.out.push_str(set),
            (set, _, true) => self.out.extend(["[^", set, "]"]),
            (set, false, false) => self.out.extend(["[", set, "]"]),
        }
        Ok(!set.is_empty() || matches!(c, 'p' | 'P'))
    }

    /// After an opening bracket.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        // A bracket in front is a member.
        if self.skip("]") {
            self.out.push_str(r"\]");
        }
        loop {
            if self.skip("]") {
                self.out.push(']');
                return Ok(());
            }
            if self.rest.starts_with("[:") {
                let Some(end) = self.rest.find(":]") else { return Err("[: without :]".to_owned()) };
                self.out.push_str(&self.rest[..end + 2]);
                self.rest = &self.rest[end + 2..];
                continue;
            }
            let is_set = self.member()?;
            let is_range = !is_set && self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if is_range && self.skip("-") {
                self.out.push('-');
                self.member()?;
            }
        }
    }

    /// A character of a class, or a set of some: which it was. Those that mean more to the `regex` crate are escaped.
    fn member(&mut self) -> Result<bool, String> {
        match self.next() {
            None => return Err("a class without end".to_owned()),
            Some('\\') => return self.escape(true),
            Some(c @ ('[' | '&' | '~' | '-' | '^')) => self.out.extend(['\\', c]),
            Some(c) => self.out.push(c),
        }
        Ok(false)
    }

    /// After an opening parenthesis.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.skip("?") {
            return Ok(());
        }
        self.out.push('?');
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            return Ok(());
        }
        let end = self.rest.find([':', ')']).unwrap_or(self.rest.len());
        match self.rest[..end].chars().find(|flag| !"imsU-".contains(*flag)) {
            Some(flag) => Err(format!("{flag} is no flag")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
