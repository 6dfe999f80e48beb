//! What a scenario wrote down, and how two of those differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Result, bail, ensure};

use crate::{
    message::{Answer, Headers, Received, shown},
    statistics::{self, Sample},
};

/// Headers that nobody compares.
pub const IGNORED: [(&str, &str); 1] = [("date", "the moment of the answer")];

/// The differences that are meant: `SCENARIO | FIELD | BASELINE | FOUND | REASON` on a line, where `*` stands for any text
/// and `nothing` for a field that is not there.
const MEANT: &str = include_str!("differences.txt");

/// The fields of a run in the order in which they were written, and its samples.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    fields: Vec<(Key, String)>,
    samples: Vec<(String, Sample)>,
    labels: BTreeMap<String, usize>,
}

/// The name of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub step: String,
    /// Of which try of the step, counted from 1.
    pub attempt: Option<usize>,
    pub name: String,
}

/// A field that is not what it was in the baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub key: Key,
    pub expected: String,
    pub found: String,
}

/// A difference that is meant.
#[derive(Debug)]
pub struct Meant {
    line: &'static str,
    columns: [&'static str; 4],
}

impl Transcript {
    /// A name for a step that no other step has.
    pub fn step(&mut self, label: &str) -> String {
        let times = self.labels.entry(label.to_owned()).or_default();
        *times += 1;
        if *times == 1 { label.to_owned() } else { format!("{label} #{times}") }
    }

    pub fn note(&mut self, step: &str, name: &str, value: impl Into<String>) {
        self.write((step, None), name, value);
    }

    /// An answer, as the client got it.
    pub fn answer(&mut self, step: &str, answer: &Answer) {
        let at = (step, None);
        if !answer.interim.is_empty() {
            self.write(at, "interim", format!("{:?}", answer.interim));
        }
        if answer.status != 0 {
            self.write(at, "status", answer.status.to_string());
            self.write(at, "version", &*answer.version);
            self.headers(at, "header", &answer.headers, answer.body.len());
            self.write(at, "body", shown(&answer.body));
            self.headers(at, "trailer", &answer.trailers, 0);
        }
        self.write(at, "end", answer.end.to_string());
        if let Some(after) = answer.after {
            self.write(at, "connection", after);
        }
    }

    /// The tries that an answer took; which endpoint got them only where that is no matter of chance.
    pub fn tries(&mut self, step: &str, tries: &[Received], is_by_chance: bool) {
        self.write((step, None), "tries", tries.len().to_string());
        for (index, received) in tries.iter().enumerate() {
            let (at, head) = ((step, Some(index + 1)), &received.head);
            if !is_by_chance {
                self.write(at, "by", &*received.by);
            }
            self.write(at, "request", format!("{} {} {}", head.method, head.path, head.version));
            for (name, value) in [("host", &head.host), ("scheme", &head.scheme), ("protocol", &head.protocol)] {
                if !value.is_empty() {
                    self.write(at, name, value);
                }
            }
            self.headers(at, "header", &head.headers, received.body.len());
            self.write(at, "body", shown(&received.body));
            self.headers(at, "trailer", &received.trailers, 0);
            let end = received.end.as_ref().map_or_else(|| "still runs".to_owned(), ToString::to_string);
            self.write(at, "end", end);
        }
    }

    pub fn sample(&mut self, step: &str, sample: Sample) {
        self.samples.push((step.to_owned(), sample));
    }

    /// Everything that is not as in the baseline. Of a try that only one of the two has, its being there is told by the
    /// number of tries, so its fields are not told.
    pub fn differences(&self, baseline: &Self) -> Vec<Difference> {
        let (expected, found) = (by_key(baseline), by_key(self));
        let is_in = |fields: &BTreeMap<&Key, &str>, key: &Key| {
            fields.keys().any(|known| known.step == key.step && known.attempt == key.attempt)
        };
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).copied().collect();
        let of_both = |key: &&Key| key.attempt.is_none() || (is_in(&expected, key) && is_in(&found, key));
        let told = |value: Option<&&str>| value.map_or("nothing", |value| value).to_owned();
        let compared = keys.into_iter().filter(of_both).map(|key| Difference {
            key: key.clone(),
            expected: told(expected.get(key)),
            found: told(found.get(key)),
        });
        let mut differences: Vec<_> = compared.filter(|one| one.expected != one.found).collect();
        for (step, sample) in &self.samples {
            let of_baseline = baseline.samples.iter().find(|(known, _)| known == step);
            differences.extend(of_baseline.and_then(|(_, expected)| {
                let found = statistics::differs(sample, expected)?;
                let key = Key { step: step.clone(), attempt: None, name: "distribution".to_owned() };
                Some(Difference { key, expected: format!("{:?}", expected.counts), found })
            }));
        }
        differences
    }

    /// What is wrong with it by itself: samples that miss the weights that they should have.
    pub fn flaws(&self) -> Vec<Difference> {
        let flaw = |(step, sample): &(String, Sample)| {
            let key = Key { step: step.clone(), attempt: None, name: "distribution".to_owned() };
            Some(Difference { key, expected: format!("{:?}", sample.due), found: statistics::misses(sample)? })
        };
        self.samples.iter().filter_map(flaw).collect()
    }

    fn write(&mut self, (step, attempt): (&str, Option<usize>), name: &str, value: impl Into<String>) {
        self.fields.push((Key { step: step.to_owned(), attempt, name: name.to_owned() }, value.into()));
    }

    fn headers(&mut self, at: (&str, Option<usize>), kind: &str, headers: &Headers, length: usize) {
        let mut by_name = BTreeMap::<&str, Vec<String>>::new();
        for (name, value) in headers.iter().filter(|(name, _)| !IGNORED.iter().any(|(ignored, _)| ignored == name)) {
            // A length that is right says nothing that the body does not.
            let is_right = name == "content-length" && *value == length.to_string() && length > 0;
            let value = if is_right { "that of the body".to_owned() } else { normal(name, value) };
            by_name.entry(name).or_default().push(value);
        }
        for (name, values) in by_name {
            self.write(at, &format!("{kind} {name}"), values.join(" | "));
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

fn by_key(transcript: &Transcript) -> BTreeMap<&Key, &str> {
    transcript.fields.iter().map(|(key, value)| (key, value.as_str())).collect()
}

impl Meant {
    /// The whole list.
    pub fn all() -> Result<Vec<Self>> {
        let lines = MEANT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    fn parse(line: &'static str) -> Result<Self> {
        let columns: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [scenario, field, baseline, found, reason] = columns[..] else {
            bail!("differences.txt: not SCENARIO | FIELD | BASELINE | FOUND | REASON: {line}");
        };
        ensure!(!reason.is_empty(), "differences.txt: no reason: {line}");
        Ok(Self { line, columns: [scenario, field, baseline, found] })
    }

    /// Whether it is about this difference.
    pub fn covers(&self, scenario: &str, difference: &Difference) -> bool {
        let texts = [scenario, &difference.key.to_string(), &difference.expected, &difference.found];
        self.columns.iter().zip(texts).all(|(pattern, text)| is_like(pattern, text))
    }
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step)?;
        if let Some(attempt) = self.attempt {
            write!(f, "try {attempt}: ")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n    baseline: {}\n    found:    {}", self.key, self.expected, self.found)
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.fields {
            writeln!(f, "    {key} = {value}")?;
        }
        for (step, sample) in &self.samples {
            writeln!(f, "    {step} ~ {:?}", sample.counts)?;
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
