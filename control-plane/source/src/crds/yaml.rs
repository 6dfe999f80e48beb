//! JSON values as YAML that reads well and that every reader of YAML 1.1 or 1.2 takes for the same.

use serde_json::Value;

/// Longer texts without line breaks are folded at this width.
const WIDTH: usize = 100;

/// One document, with the fields of each object in order of their names.
pub fn yaml(document: &Value) -> String {
    let mut text = String::new();
    block(&mut text, document, 0);
    text.trim_start_matches('\n').to_owned() + "\n"
}

/// Writes a value after `key:` or `-`.
fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, value) in fields {
                start_line(text, depth);
                *text += &format!("{}:", word(name));
                block(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                start_line(text, depth);
                *text += "-";
                block(text, item, depth + 1);
            }
        }
        Value::String(line) => string(text, line, depth),
        scalar => *text += &format!(" {scalar}"),
    }
}

/// Begins a line, or goes on in that of a list's item whose first field comes.
fn start_line(text: &mut String, depth: usize) {
    let line = text.rsplit('\n').next().unwrap_or_default();
    match line.trim_start() {
        "-" if line.len() < 2 * depth => *text += " ",
        _ => {
            text.push('\n');
            *text += &"  ".repeat(depth);
        }
    }
}

fn string(text: &mut String, value: &str, depth: usize) {
    let margin = format!("\n{}", "  ".repeat(depth));
    let is_tidy = |line: &str| !line.is_empty() && line.trim() == line && line.split(' ').all(|word| !word.is_empty());
    let is_printable = value.chars().all(|c| c == '\n' || !c.is_control());
    if value.contains('\n') && is_printable && value.split('\n').all(is_tidy) {
        *text += " |-";
        value.split('\n').for_each(|line| *text += &format!("{margin}{line}"));
    } else if value.len() > WIDTH && is_printable && is_tidy(value) && !value.contains('\n') {
        *text += " >-";
        let mut length = WIDTH;
        for word in value.split(' ') {
            length += 1 + word.len();
            if length > WIDTH {
                *text += &format!("{margin}{word}");
                length = margin.len() + word.len();
            } else {
                *text += &format!(" {word}");
            }
        }
    } else {
        *text += &format!(" {}", word(value));
    }
}

/// A text as it stands, where nothing takes it for anything else, else in quotation marks.
fn word(text: &str) -> String {
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " -_./(),;=%+'".contains(c))
        && !text.ends_with(' ')
        && !reserved.contains(&text.to_ascii_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        // Between single quotation marks nothing has to be escaped.
        false if text.contains(['"', '\\']) && !text.contains(|c: char| c == '\'' || c.is_control()) => {
            format!("'{text}'")
        }
        false => Value::from(text).to_string(),
    }
}
