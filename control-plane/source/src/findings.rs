//! What a user must or should know of the desired state: faults with their place, and notes.

use std::fmt;

use byrnie_model::{ObjectRef, Place};

/// One thing to know of the desired state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it stands; `None` where it concerns no file.
    pub place: Option<Place>,
    /// The column, counted from 1, where the text itself is at fault.
    pub column: Option<usize>,
    /// How much it matters.
    pub severity: Severity,
    /// The object, where one is known.
    pub object: Option<ObjectRef>,
    /// The field of the object: `spec.rules[0].matches[0].path.type`.
    pub field: Option<String>,
    /// What was found and what is accepted.
    pub message: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that was written is not in force.
    Error,
    /// In force, but probably not what was meant.
    Warning,
    /// Good to know.
    Note,
}

impl Finding {
    /// A finding at a place, about no object in particular.
    pub fn at(severity: Severity, place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), column: None, severity, object: None, field: None, message: message.into() }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// `FILE:LINE: OBJECT: FIELD: MESSAGE`, without the parts that are not known. Line 0 stands for the whole file.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            match place.line {
                0 => write!(f, "{}", place.file.display())?,
                _ => write!(f, "{place}")?,
            }
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}
