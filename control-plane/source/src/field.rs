//! Where in an object something stands, and what is wrong there.

use std::{cell::RefCell, fmt};

use crate::findings::Severity;

/// A path through an object: `spec.rules[0].matches[0].path.type`, `metadata.annotations[byrnie.io/inbound]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub(crate) Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// Something to tell of an object, and where; an [`Severity::Error`] makes it unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub path: FieldPath,
    pub severity: Severity,
    pub message: String,
}

/// Where a check stands in the object that it reads; faults are collected, not returned, so that one look at a file
/// tells a user all that is wrong with it.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    parent: Option<&'a Cursor<'a>>,
    step: Step<'a>,
    faults: &'a Faults,
}

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults(RefCell<Vec<Fault>>);

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl FieldPath {
    /// The path below `prefix`.
    pub(crate) fn below(&self, prefix: &[Segment]) -> Self {
        Self(prefix.iter().chain(&self.0).cloned().collect())
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&serde_path_to_error::Path> for FieldPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment as S;
        Self(
            path.iter()
                .filter_map(|segment| match segment {
                    S::Seq { index } => Some(Segment::Index(*index)),
                    S::Map { key } => Some(Segment::Key(key.clone())),
                    S::Enum { variant } => Some(Segment::Key(variant.clone())),
                    S::Unknown => None,
                })
                .collect(),
        )
    }
}

impl Faults {
    pub(crate) fn root(&self) -> Cursor<'_> {
        Cursor { parent: None, step: Step::Root, faults: self }
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

impl<'a> Cursor<'a> {
    /// The field `key` of what stands here.
    pub(crate) fn key<'b>(&'b self, key: &'b str) -> Cursor<'b> {
        Cursor { parent: Some(self), step: Step::Key(key), faults: self.faults }
    }

    /// The element `index` of what stands here.
    pub(crate) fn index(&self, index: usize) -> Cursor<'_> {
        Cursor { parent: Some(self), step: Step::Index(index), faults: self.faults }
    }

    /// Notes that what stands here cannot be used.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        self.tell(Severity::Error, message);
    }

    /// Tells of what stands here.
    pub(crate) fn tell(&self, severity: Severity, message: impl Into<String>) {
        self.faults.0.borrow_mut().push(Fault { path: self.path(), severity, message: message.into() });
    }

    /// Refuses lists that are longer than the schema allows.
    pub(crate) fn at_most(&self, found: usize, most: usize) {
        if found > most {
            self.refuse(format!("found {found} entries, at most {most} are accepted"));
        }
    }

    fn path(&self) -> FieldPath {
        let mut segments = self.parent.map_or_else(Vec::new, |parent| parent.path().0);
        match self.step {
            Step::Root => {}
            Step::Key(key) => segments.push(Segment::Key(key.to_owned())),
            Step::Index(index) => segments.push(Segment::Index(index)),
        }
        FieldPath(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if key.contains(['.', '/']) => write!(f, "[{key}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
