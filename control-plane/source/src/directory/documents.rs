//! A file's text as documents, with the line where each starts and a hash, so that only changed ones are parsed.

use serde::de::IgnoredAny;
use xxhash_rust::xxh3::xxh3_128;

use super::yaml::TextFault;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `*.yaml`, `*.yml`
    Yaml,
    /// `*.json`: one value, or several after each other.
    Json,
}

/// A part of a file that stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// The text.
    pub text: &'a str,
    /// The line of the file where the text starts, counted from 1.
    pub line: usize,
    /// What tells this text from others.
    pub hash: u128,
}

/// The documents of a file. Parts without content are left out.
pub fn split(text: &str, format: Format) -> Result<Vec<Document<'_>>, TextFault> {
    match format {
        Format::Yaml => Ok(split_yaml(text)),
        Format::Json => split_json(text),
    }
}

/// A line that starts with `---` or `...` ends a document wherever it stands, even within a block of text (YAML 1.2,
/// section 9.1.2, `c-forbidden`).
fn split_yaml(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut from, mut from_line) = (0, 1);
    let (mut at, mut line) = (0, 1);
    let mut has_content = false;
    for text_line in text.split_inclusive('\n') {
        let marker = ["---", "..."].iter().find(|marker| {
            text_line
                .strip_prefix(**marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        });
        if marker.is_some() {
            if has_content {
                documents.push(document(&text[from..at], from_line));
            }
            (from, from_line, has_content) = (at, line, false);
        }
        match marker {
            // What follows the marker on its line belongs to the document.
            Some(&"---") => has_content = is_content(&text_line[3..]),
            Some(_) => (from, from_line) = (at + text_line.len(), line + 1),
            None => has_content |= is_content(text_line),
        }
        at += text_line.len();
        line += 1;
    }
    if has_content {
        documents.push(document(&text[from..], from_line));
    }
    documents
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    // A line that starts with % is a directive where it stands before ---, and within a document it is not alone.
    !line.is_empty() && !line.starts_with(['#', '%'])
}

fn split_json(text: &str) -> Result<Vec<Document<'_>>, TextFault> {
    let mut documents = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut from, mut line) = (0, 1);
    while let Some(value) = values.next() {
        value.map_err(|error| TextFault {
            line: error.line(),
            column: Some(error.column().max(1)),
            message: format!("no JSON: {}", without_place(&error)),
        })?;
        let to = values.byte_offset();
        let gap = text[from..to].len() - text[from..to].trim_start().len();
        line += newlines(&text[from..from + gap]);
        documents.push(document(&text[from + gap..to], line));
        line += newlines(&text[from + gap..to]);
        from = to;
    }
    Ok(documents)
}

/// The error without `at line 1 column 2`, which is told apart.
pub fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn document(text: &str, line: usize) -> Document<'_> {
    Document { text, line, hash: xxh3_128(text.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Vec<(usize, &str)> {
        split(text, Format::Yaml).unwrap().into_iter().map(|document| (document.line, document.text)).collect()
    }

    #[test]
    fn documents_are_split_at_their_markers_and_keep_their_lines() {
        assert_eq!(yaml("a: 1\n---\nb: 2\n"), [(1, "a: 1\n"), (2, "---\nb: 2\n")]);
        assert_eq!(yaml("# none\n---\n# a\n---\r\nb: 2"), [(4, "---\r\nb: 2")]);
        assert_eq!(yaml("a: 1\n...\n\nb: 2\n"), [(1, "a: 1\n"), (3, "\nb: 2\n")]);
        assert_eq!(yaml("--- {a: 1}\n--- # x\n"), [(1, "--- {a: 1}\n")]);
        assert_eq!(yaml("a: |\n  ---\n ---b\n---c\n"), [(1, "a: |\n  ---\n ---b\n---c\n")]);
        assert_eq!(yaml(""), []);
    }

    #[test]
    fn equal_texts_have_equal_hashes_wherever_they_stand() {
        let documents = split("---\na: 1\n---\nb: 2\n---\na: 1\n", Format::Yaml).unwrap();
        assert_eq!(documents[0].hash, documents[2].hash);
        assert_ne!(documents[0].hash, documents[1].hash);
    }

    #[test]
    fn json_values_follow_each_other() {
        let documents = split("\n{\"a\":\n1}\n\n{\"b\": 2}", Format::Json).unwrap();
        let documents: Vec<_> = documents.iter().map(|document| (document.line, document.text)).collect();
        assert_eq!(documents, [(2, "{\"a\":\n1}"), (5, "{\"b\": 2}")]);
        let fault = split("{\"a\": 1,}", Format::Json).unwrap_err();
        assert_eq!((fault.line, fault.column, &*fault.message), (1, Some(9), "no JSON: key must be a string"));
    }
}
