//! Metrics as text: what is read of one or the other format is written in Prometheus' text format 0.0.4, which every
//! scraper reads, and in which several sources can stand one behind the other.
//!
//! Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/> and OpenMetrics 1.0, told apart by the
//! `# EOF` that ends the second.

use std::{collections::HashSet, fmt::Write};

use http::HeaderValue;

/// Of what is written.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Metrics of several sources. No two of them have a metric of the same name.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    names: HashSet<String>,
}

/// Text that is none of the formats.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No text at all.
    #[error("it is not UTF-8")]
    Octets,
    /// By its number, from 1.
    #[error("line {0} is no metric")]
    Line(usize),
}

/// A metric with its lines.
#[derive(Clone, Debug, Default)]
struct Family {
    /// As it is written here.
    name: String,
    /// As the source has it.
    given: String,
}

/// Turns the lines of a source to those of 0.0.4.
#[derive(Default)]
struct Writer<'a> {
    is_openmetrics: bool,
    family: Family,
    /// A HELP whose TYPE is still to come: by that its name is known.
    help: Option<(&'a str, &'a str)>,
    out: Exposition,
}

impl Exposition {
    /// Reads all of a source, or nothing.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        Writer::read(text, &HashSet::new())
    }

    /// Adds the metrics of a source but those whose names are there: two of one name would make all unreadable.
    pub fn add_missing(&mut self, text: &str) -> Result<(), Unreadable> {
        let more = Writer::read(text, &self.names)?;
        self.text += &more.text;
        self.names.extend(more.names);
        Ok(())
    }

    /// As it is sent.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl<'a> Writer<'a> {
    fn read(text: &'a str, known: &HashSet<String>) -> Result<Exposition, Unreadable> {
        let is_openmetrics = text.trim_end().ends_with("\n# EOF") || text.trim_end() == "# EOF";
        let mut writer = Self { is_openmetrics, ..Self::default() };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let words = line.strip_prefix('#').map(|comment| comment.trim_start().splitn(3, [' ', '\t']));
            match words.map(|mut words| [(); 3].map(|()| words.next().unwrap_or_default())) {
                Some(["EOF", ..]) if is_openmetrics => break,
                Some(["HELP", name, help]) => writer.help(name, help, known),
                Some(["TYPE", name, kind]) => writer.kind(name, kind, known),
                Some(_) => {}
                None if line.is_empty() => {}
                None => writer.sample(line, known).ok_or(Unreadable::Line(index + 1))?,
            }
        }
        Ok(writer.out)
    }

    fn help(&mut self, name: &'a str, help: &'a str, known: &HashSet<String>) {
        match self.family.given == name {
            true => {
                let name = self.family.name.clone();
                self.write(&name, known, format_args!("# HELP {name} {help}\n"));
            }
            false => self.help = Some((name, help)),
        }
    }

    fn kind(&mut self, given: &str, kind: &str, known: &HashSet<String>) {
        let (suffix, kind) = match kind {
            "counter" if self.is_openmetrics && !given.ends_with("_total") => ("_total", "counter"),
            "info" if self.is_openmetrics => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            "counter" | "gauge" | "histogram" | "summary" => ("", kind),
            _ => ("", "untyped"),
        };
        let name = format!("{given}{suffix}");
        if let Some((_, help)) = self.help.take().filter(|(helped, _)| *helped == given) {
            self.write(&name, known, format_args!("# HELP {name} {help}\n"));
        }
        self.write(&name, known, format_args!("# TYPE {name} {kind}\n"));
        self.family = Family { name, given: given.to_owned() };
    }

    /// None where the line is no sample.
    fn sample(&mut self, line: &str, known: &HashSet<String>) -> Option<()> {
        let (name, labels, rest) = split(line)?;
        let rest = if self.is_openmetrics { rest.split(" # ").next().unwrap_or_default() } else { rest };
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().filter(|value| value.parse::<f64>().is_ok())?;
        let time = words.next().map(|time| milliseconds(time, self.is_openmetrics));
        if words.next().is_some() {
            return None;
        }
        if !belongs(name, &self.family.given) {
            self.family = Family { name: name.to_owned(), given: name.to_owned() };
        }
        if let Some((helped, help)) = self.help.take().filter(|(helped, _)| *helped == self.family.given) {
            self.write(helped, known, format_args!("# HELP {helped} {help}\n"));
        }
        if known.contains(&self.family.name) {
            return Some(());
        }
        match time {
            None => self.write(name, known, format_args!("{name}{labels} {value}\n")),
            Some(time) => self.write(name, known, format_args!("{name}{labels} {value} {}\n", time?)),
        }
        Some(())
    }

    fn write(&mut self, name: &str, known: &HashSet<String>, line: std::fmt::Arguments<'_>) {
        if known.contains(name) {
            return;
        }
        if !self.out.names.contains(name) {
            self.out.names.insert(name.to_owned());
        }
        self.out.text.write_fmt(line).expect("writing to a string does not fail");
    }
}

/// A sample's name, its labels in braces where it has some, and what is behind them.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let (name, rest) = line.split_at(line.find(|c| !is_name(c))?);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    if !rest.starts_with('{') {
        return Some((name, "", rest));
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = rest.bytes().position(|octet| {
        let ends = octet == b'}' && !is_quoted;
        is_quoted ^= octet == b'"' && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        ends
    })?;
    let (labels, rest) = rest.split_at(end + 1);
    Some((name, labels, rest))
}

/// Whether a sample is of the family; what others have behind the family's name is a family of its own.
fn belongs(sample: &str, family: &str) -> bool {
    let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_created", "_info", "_gsum", "_gcount"];
    sample.strip_prefix(family).is_some_and(|suffix| suffixes.contains(&suffix))
}

/// OpenMetrics has seconds where Prometheus' text has milliseconds.
fn milliseconds(time: &str, is_seconds: bool) -> Option<i64> {
    match is_seconds {
        true => {
            time.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1e3).round() as i64)
        }
        false => time.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
