//! What stands in `docs/proxy-fields.md`. `BYRNIE_BLESS=1` writes it anew: read the difference.

use std::{fmt::Write as _, fs, path::Path};

use super::{How, Row, Table, supported};

const HEAD: &str = "\
# Fields of xDS that the micro-proxy reads

This page is made from the tables that the proxy reads by (`proxy/config`); a test holds the two together.

A resource that sets a refused field is not taken: the NACK names the field by its path, what was found and what is
accepted, and the last good version goes on serving. Fields *without effect* may be set; the reason says why they change
nothing here. What a note says of an honoured field is the range that is accepted, anything else is refused. Messages
that are not listed stand only where a field is refused.
";

#[test]
fn the_reference_says_what_the_code_does() {
    let mut page = HEAD.to_owned();
    for (title, tables) in supported() {
        write!(page, "\n## {title}\n").unwrap();
        for table in tables {
            page += &section(&table);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proxy-fields.md");
    if std::env::var_os("BYRNIE_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let differing = wanted.lines().zip(page.lines()).find(|(wanted, found)| wanted != found);
    assert!(wanted == page, "docs/proxy-fields.md is out of date ({differing:?}); BYRNIE_BLESS=1 writes it anew");
}

#[test]
fn no_message_is_listed_twice() {
    let mut all: Vec<_> = supported().into_iter().flat_map(|(_, tables)| tables).map(|table| table.message).collect();
    all.sort();
    let before = all.len();
    all.dedup();
    assert_eq!(all.len(), before);
}

fn section(table: &Table) -> String {
    let mut text = format!("\n### {}\n\n", table.message.trim_start_matches("envoy."));
    if table.rows.is_empty() {
        text += "No fields.\n";
        return text;
    }
    let of = |how| table.rows.iter().filter(move |row| row.how == how);
    for row in of(How::Honoured) {
        writeln!(text, "- `{}`{}", name(row), after(": ", row.note)).unwrap();
    }
    for row in of(How::Idle) {
        writeln!(text, "- `{}`, without effect{}", name(row), after(": ", row.note)).unwrap();
    }
    let refused: Vec<_> = of(How::Refused).map(|row| format!("`{}`{}", name(row), within(row.note))).collect();
    if !refused.is_empty() {
        writeln!(text, "- Refused: {}", refused.join(", ")).unwrap();
    }
    text
}

fn name(row: &Row) -> &'static str {
    row.name.trim_start_matches("r#")
}

fn after(colon: &str, note: &str) -> String {
    if note.is_empty() { String::new() } else { format!("{colon}{note}") }
}

fn within(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(" ({note})") }
}
