//! What happens beside the traffic, for the reader: files that were edited, sidecars that took or refused their
//! configuration, what the control plane complains of.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use super::{load::Tally, mesh::Objects, standing::Answers, view::clock};

const KEPT: usize = 200;
const READ_AT_ONCE: u64 = 64 << 10;

/// The last events, and what is needed to see the next.
pub struct Events {
    lines: VecDeque<String>,
    seen: u64,
    since: Instant,
    files: BTreeMap<String, SystemTime>,
    answers: BTreeMap<String, Answers>,
    reasons: BTreeSet<String>,
    directory: String,
    log: PathBuf,
    read: u64,
}

impl Events {
    /// Files as they are now are no event; the log is read from its start.
    pub fn new(objects: &Objects, log: &Path) -> Self {
        let (files, answers) = (modified(objects), BTreeMap::new());
        let (lines, reasons) = (VecDeque::new(), BTreeSet::new());
        let directory = format!("{}/", objects.path.display());
        let (since, log) = (Instant::now(), log.to_owned());
        Self { lines, seen: 0, since, files, answers, reasons, directory, log, read: 0 }
    }

    /// The last ones, newest last.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).map(String::as_str)
    }

    /// Those that came after the `printed` first ones, and how many there were in all.
    pub fn after(&self, printed: u64) -> (impl Iterator<Item = &str>, u64) {
        let new = usize::try_from(self.seen.saturating_sub(printed)).unwrap_or(KEPT);
        (self.last(new), self.seen)
    }

    /// Notes one, with the time since the watch began.
    pub fn note(&mut self, event: String) {
        self.seen += 1;
        self.lines.push_back(format!("{:>5}  {event}", clock(self.since.elapsed())));
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }

    /// Looks at the files. Returns those that were written, made or removed since the last look.
    pub fn look_at_files(&mut self, objects: &Objects) -> Vec<String> {
        let now = modified(objects);
        let mut changed: Vec<String> = now
            .iter()
            .filter(|(name, time)| self.files.get(*name) != Some(time))
            .map(|(name, _)| name.clone())
            .collect();
        changed.extend(self.files.keys().filter(|name| !now.contains_key(*name)).cloned());
        self.files = now;
        for name in &changed {
            self.note(format!("{name} changed"));
        }
        changed
    }

    /// Looks at what each sidecar answered to its configuration.
    pub fn look_at_answers(&mut self, answers: BTreeMap<String, Answers>) {
        for (pod, now) in answers {
            let before = self.answers.insert(pod.clone(), now).unwrap_or(Answers { refused: 0, ..now });
            if now.taken > before.taken {
                self.note(format!("sidecar of {pod} took new configuration"));
            }
            if now.refused > before.refused {
                self.note(format!("sidecar of {pod} refused configuration (NACK)"));
            }
        }
    }

    /// Looks at why requests fail: each reason is an event once.
    pub fn look_at_failures(&mut self, tally: &Tally) {
        for reason in tally.failures.keys() {
            if self.reasons.insert(reason.clone()) {
                self.note(format!("a request failed: {reason}"));
            }
        }
    }

    /// Looks at the log of the control plane for warnings and errors.
    pub fn look_at_log(&mut self) {
        let Ok(mut file) = std::fs::File::open(&self.log) else { return };
        let mut text = Vec::new();
        let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.take(READ_AT_ONCE).read_to_end(&mut text));
        if read.is_err() {
            return;
        }
        // What comes after the last line's end is read again with the rest of its line.
        let whole = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if text.len() as u64 == READ_AT_ONCE => text.len(),
            None => return,
        };
        self.read += whole as u64;
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            if let Some(complaint) = complaint(line) {
                self.note(format!("control plane: {}", complaint.replace(&self.directory, "")));
            }
        }
    }
}

/// The text of a warning or an error: `2026-01-01T00:00:00Z  WARN module: text` -> `text`.
fn complaint(line: &str) -> Option<String> {
    let plain = without_colours(line);
    let (_time, rest) = plain.split_once(' ')?;
    let rest = rest.trim_start();
    let text = rest.strip_prefix("WARN ").or_else(|| rest.strip_prefix("ERROR "))?;
    Some(
        text.split_once(": ")
            .filter(|(module, _)| !module.contains(' '))
            .map_or(text, |(_, text)| text)
            .trim()
            .to_owned(),
    )
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            plain.push(character);
        }
    }
    plain
}

fn modified(objects: &Objects) -> BTreeMap<String, SystemTime> {
    let names = objects.files().unwrap_or_default().into_iter();
    let time = |name: &String| std::fs::metadata(objects.path.join(name)).and_then(|metadata| metadata.modified()).ok();
    names.filter_map(|name| time(&name).map(|time| (name, time))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::kind::Choice;

    fn objects() -> (tempfile::TempDir, Objects) {
        let directory = tempfile::tempdir().unwrap();
        let objects = Objects::prepare(Some(&directory.path().join("mesh")), Choice::Mixed).unwrap();
        (directory, objects)
    }

    #[test]
    fn an_edited_and_a_removed_file_are_events_once() {
        let (_directory, objects) = objects();
        let mut events = Events::new(&objects, Path::new("/nowhere"));
        assert_eq!(events.look_at_files(&objects), Vec::<String>::new());
        let route = std::fs::File::options().append(true).open(objects.path.join("cart-route.yaml")).unwrap();
        route.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        std::fs::remove_file(objects.path.join("pods.yaml")).unwrap();
        assert_eq!(events.look_at_files(&objects), ["cart-route.yaml", "pods.yaml"]);
        assert_eq!(events.look_at_files(&objects), Vec::<String>::new());
        assert_eq!(events.after(1).0.collect::<Vec<_>>(), [" 0:00  pods.yaml changed"]);
    }

    #[test]
    fn only_whole_lines_of_warnings_and_errors_are_taken_from_the_log() {
        let (directory, objects) = objects();
        let log = directory.path().join("log");
        std::fs::write(
            &log,
            "T1  INFO a: started\n\u{1b}[2mT2\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m a::b: bad field\nT3 ERR",
        )
        .unwrap();
        let mut events = Events::new(&objects, &log);
        events.look_at_log();
        assert_eq!(events.last(9).collect::<Vec<_>>(), [" 0:00  control plane: bad field"]);
        let mut file = std::fs::File::options().append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, b"OR b: disk full\n").unwrap();
        events.look_at_log();
        assert_eq!(events.last(1).collect::<Vec<_>>(), [" 0:00  control plane: disk full"]);
    }

    #[test]
    fn the_first_configuration_is_no_event_and_a_refused_one_always_is() {
        let (_directory, objects) = objects();
        let mut events = Events::new(&objects, Path::new("/nowhere"));
        let answers = |taken, refused| [("web-1".to_owned(), Answers { taken, refused })].into();
        events.look_at_answers(answers(9, 0));
        assert_eq!(events.last(9).count(), 0);
        events.look_at_answers(answers(10, 1));
        assert_eq!(events.last(9).count(), 2);
        events.look_at_answers(answers(3, 0));
        assert_eq!(events.last(9).count(), 2, "a new stream counts from 0");
    }
}
