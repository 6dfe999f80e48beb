//! What a scenario wrote down, and how two of those differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, Result, ensure};

use crate::{
    message::{Answer, Headers, Received, shown},
    statistics::{self, Sample},
};

/// Headers that nobody compares.
pub const IGNORED: [(&str, &str); 1] = [("date", "the moment of the answer")];

/// The differences that are meant: `SCENARIO | FIELD | REASON` on a line, where `*` stands for any text.
const MEANT: &str = include_str!("differences.txt");

/// The fields of a run in the order in which they were written, and its samples.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    fields: Vec<(String, String)>,
    samples: Vec<(String, Sample)>,
    labels: BTreeMap<String, usize>,
}

/// A field that is not what it was in the baseline.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: String,
    pub expected: Option<String>,
    pub found: Option<String>,
}

/// A difference that is meant.
#[derive(Debug)]
pub struct Meant {
    line: &'static str,
    scenario: &'static str,
    field: &'static str,
}

impl Transcript {
    /// A name for a step that no other step has.
    pub fn step(&mut self, label: &str) -> String {
        let times = self.labels.entry(label.to_owned()).or_default();
        *times += 1;
        if *times == 1 { label.to_owned() } else { format!("{label} #{times}") }
    }

    pub fn note(&mut self, step: &str, field: &str, value: impl Into<String>) {
        self.fields.push((format!("{step}: {field}"), value.into()));
    }

    /// An answer, as the client got it.
    pub fn answer(&mut self, step: &str, answer: &Answer) {
        if !answer.interim.is_empty() {
            self.note(step, "interim", format!("{:?}", answer.interim));
        }
        if answer.status != 0 {
            self.note(step, "status", answer.status.to_string());
            self.note(step, "version", &*answer.version);
            self.headers(step, "header", &answer.headers);
            self.note(step, "body", shown(&answer.body));
            self.headers(step, "trailer", &answer.trailers);
        }
        self.note(step, "end", answer.end.to_string());
        if let Some(after) = answer.after {
            self.note(step, "connection", after);
        }
    }

    /// The tries that an answer took; which endpoint got them only where that is no matter of chance.
    pub fn tries(&mut self, step: &str, tries: &[Received], is_by_chance: bool) {
        self.note(step, "tries", tries.len().to_string());
        for (index, received) in tries.iter().enumerate() {
            let step = format!("{step}: try {}", index + 1);
            let head = &received.head;
            if !is_by_chance {
                self.note(&step, "by", &*received.by);
            }
            self.note(&step, "request", format!("{} {} {}", head.method, head.path, head.version));
            for (field, value) in [("host", &head.host), ("scheme", &head.scheme), ("protocol", &head.protocol)] {
                if !value.is_empty() {
                    self.note(&step, field, value);
                }
            }
            self.headers(&step, "header", &head.headers);
            self.note(&step, "body", shown(&received.body));
            self.headers(&step, "trailer", &received.trailers);
            let end = received.end.as_ref().map_or_else(|| "still runs".to_owned(), ToString::to_string);
            self.note(&step, "end", end);
        }
    }

    pub fn sample(&mut self, step: &str, sample: Sample) {
        self.samples.push((step.to_owned(), sample));
    }

    /// Everything that is not as in the baseline.
    pub fn differences(&self, baseline: &Self) -> Vec<Difference> {
        let (expected, found) = (by_field(baseline), by_field(self));
        let fields: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
        let field = |field: &String| Difference {
            field: field.clone(),
            expected: expected.get(field).map(|value| (*value).to_owned()),
            found: found.get(field).map(|value| (*value).to_owned()),
        };
        let mut differences: Vec<_> = fields
            .into_iter()
            .map(|name| field(name))
            .filter(|difference| difference.expected != difference.found)
            .collect();
        for (step, sample) in &self.samples {
            let of_baseline = baseline.samples.iter().find(|(known, _)| known == step);
            differences.extend(of_baseline.and_then(|(_, expected)| {
                let why = statistics::differs(sample, expected)?;
                let field = format!("{step}: distribution");
                Some(Difference { field, expected: Some(format!("{expected:?}")), found: Some(why) })
            }));
        }
        differences
    }

    /// What is wrong with it by itself: samples that miss the weights that they should have.
    pub fn flaws(&self) -> Vec<String> {
        let flaw = |(step, sample): &(String, Sample)| Some(format!("{step}: {}", statistics::misses(sample)?));
        self.samples.iter().filter_map(flaw).collect()
    }

    fn headers(&mut self, step: &str, kind: &str, headers: &Headers) {
        let mut by_name = BTreeMap::<&str, Vec<String>>::new();
        for (name, value) in headers.iter().filter(|(name, _)| !IGNORED.iter().any(|(ignored, _)| ignored == name)) {
            by_name.entry(name).or_default().push(normal(name, value));
        }
        for (name, values) in by_name {
            self.note(step, &format!("{kind} {name}"), values.join(" | "));
        }
    }
}

/// Certificates differ from run to run, and with them what XFCC says of them.
pub fn normal(name: &str, value: &str) -> String {
    if name != "x-forwarded-client-cert" {
        return value.to_owned();
    }
    let part = |part: &str| if part.starts_with("Hash=") { "Hash=…".to_owned() } else { part.to_owned() };
    value.split(';').map(part).collect::<Vec<_>>().join(";")
}

fn by_field(transcript: &Transcript) -> BTreeMap<&String, &str> {
    transcript.fields.iter().map(|(field, value)| (field, value.as_str())).collect()
}

impl Meant {
    /// The whole list.
    pub fn all() -> Result<Vec<Self>> {
        let lines = MEANT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    fn parse(line: &'static str) -> Result<Self> {
        let columns: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [scenario, field, reason] = columns[..] else {
            return None.with_context(|| format!("differences.txt: not SCENARIO | FIELD | REASON: {line}"));
        };
        ensure!(!reason.is_empty(), "differences.txt: no reason: {line}");
        Ok(Self { line, scenario, field })
    }

    /// Whether it is about this field of this scenario.
    pub fn covers(&self, scenario: &str, field: &str) -> bool {
        is_like(self.scenario, scenario) && is_like(self.field, field)
    }
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, found } = self;
        let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{field}\n      baseline: {}\n      found:    {}", told(expected), told(found))
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, value) in &self.fields {
            writeln!(f, "    {field} = {value}")?;
        }
        for (step, sample) in &self.samples {
            writeln!(f, "    {step} ~ {sample:?}")?;
        }
        Ok(())
    }
}

/// Whether `text` is what `pattern` says, where `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(after) = text.strip_prefix(start) else { return false };
            let ends = after.char_indices().map(|(at, _)| at).chain([after.len()]);
            ends.into_iter().any(|at| is_like(rest, &after[at..]))
        }
    }
}

#[test]
fn a_pattern_stands_for_any_text_where_it_has_a_star() {
    for (pattern, text, expected) in
        [("a", "a", true), ("a", "ab", false), ("a*", "abc", true), ("*c", "abc", true), ("a*c*", "abd", false)]
    {
        assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
    }
}
