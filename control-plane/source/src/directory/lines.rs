//! The lines of fields, looked for only where something is to be told of them.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};

use crate::field::{FieldPath, Segment};

/// Lines of the wanted paths within a text, counted from 1. What is not there has the line of what it would stand in.
pub struct Lines(HashMap<FieldPath, Option<usize>>);

impl Lines {
    /// One pass over the text, for any number of paths. What follows an error of syntax is not found.
    pub fn of(text: &str, wanted: impl IntoIterator<Item = FieldPath>) -> Self {
        let mut lines = HashMap::new();
        for mut path in wanted {
            loop {
                let is_root = path.is_root();
                lines.entry(path.clone()).or_insert(None);
                if is_root {
                    break;
                }
                path.0.pop();
            }
        }
        if lines.is_empty() {
            return Self(lines);
        }
        let mut walk = Walk { lines, here: FieldPath::default(), open: Vec::new() };
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = parser.next_event() {
            walk.take(&event, span.start.line());
        }
        Self(walk.lines)
    }

    /// The line of a path that was wanted; 1 where nothing of it is there.
    pub fn line(&self, path: &FieldPath) -> usize {
        let mut path = path.clone();
        loop {
            if let Some(Some(line)) = self.0.get(&path) {
                return *line;
            }
            if path.0.pop().is_none() {
                return 1;
            }
        }
    }
}

struct Walk {
    lines: HashMap<FieldPath, Option<usize>>,
    /// The path of the node that comes next.
    here: FieldPath,
    open: Vec<Open>,
}

enum Open {
    List,
    /// Whether the next node names a field.
    Fields {
        names: bool,
    },
}

impl Walk {
    fn take(&mut self, event: &Event<'_>, line: usize) {
        match event {
            Event::Scalar(text, ..) => {
                if let Some(Open::Fields { names }) = self.open.last_mut()
                    && *names
                {
                    *names = false;
                    self.here.0.push(Segment::Key(text.clone().into_owned()));
                    self.note(line);
                    return;
                }
                self.note(line);
                self.done();
            }
            Event::Alias(_) => {
                self.note(line);
                self.done();
            }
            Event::SequenceStart(..) => {
                self.note(line);
                self.open.push(Open::List);
                self.here.0.push(Segment::Index(0));
            }
            Event::MappingStart(..) => {
                self.note(line);
                self.open.push(Open::Fields { names: true });
            }
            Event::SequenceEnd => {
                self.open.pop();
                self.here.0.pop();
                self.done();
            }
            Event::MappingEnd => {
                self.open.pop();
                self.done();
            }
            _ => {}
        }
    }

    fn note(&mut self, line: usize) {
        // The line of a field is that of its name, which comes before its value.
        if let Some(known @ None) = self.lines.get_mut(&self.here) {
            *known = Some(line);
        }
    }

    /// The node at `here` is complete: what comes next is its sibling.
    fn done(&mut self) {
        match self.open.last_mut() {
            Some(Open::List) => {
                if let Some(Segment::Index(index)) = self.here.0.last_mut() {
                    *index += 1;
                }
            }
            Some(Open::Fields { names }) => {
                *names = true;
                self.here.0.pop();
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_line_of_its_name_and_a_missing_one_that_of_its_parent() {
        let text = "kind: Pod\nspec:\n  rules:\n  - a: 1\n    b:\n      c: 2\n  - a: 3\n";
        let path = |steps: &[&str]| {
            FieldPath(
                steps
                    .iter()
                    .map(|step| step.parse().map_or_else(|_| Segment::Key((*step).to_owned()), Segment::Index))
                    .collect(),
            )
        };
        let wanted = [
            (path(&["spec"]), 2),
            (path(&["spec", "rules", "0", "b", "c"]), 6),
            (path(&["spec", "rules", "1", "a"]), 7),
            (path(&["spec", "rules", "1", "b", "c"]), 7),
            (path(&["status"]), 1),
        ];
        let lines = Lines::of(text, wanted.iter().map(|(path, _)| path.clone()));
        for (path, line) in wanted {
            assert_eq!(lines.line(&path), line, "{path}");
        }
    }
}
