//! Why a Pod is refused. What stands in it may be of any length, and the API server has not looked at it yet: messages have
//! as much of it as can be read.

use std::borrow::Cow;

use byrnie_init::ValueError;

use crate::annotation::Annotation;

/// What a message has of a Pod's own text at most, in octets.
const LONGEST: usize = 200;

/// Why a Pod is not admitted: what stands in it cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A label or annotation whose value says nothing.
    #[error("{field}: found {:?}: {accepted}", shown(found))]
    Value {
        /// Where it stands.
        field: String,
        /// The value.
        found: String,
        /// What would be a value, in a sentence.
        accepted: &'static str,
    },
    /// A list of what is left alone in which one entry is none.
    #[error("metadata.annotations[{annotation}]: {source}")]
    Exclusion {
        /// The annotation.
        annotation: Annotation,
        /// What is wrong.
        source: ValueError,
    },
    /// A slip in the name of an annotation.
    #[error("metadata.annotations[{}]: is read by nothing; {accepted} are accepted", shown(name))]
    Unknown {
        /// The name.
        name: String,
        /// The names that something reads.
        accepted: String,
    },
    /// Pods may not set this here.
    #[error("metadata.annotations[{0}]: the mesh's settings do not let a Pod set this; leave it out")]
    NotAllowed(Annotation),
    /// What an own `byrnie-proxy` says of itself, and the settings do not let it.
    #[error("{field}: the mesh's settings do not let a Pod set {annotation}, and so not this; leave it out")]
    OwnNotAllowed {
        /// The field of the container.
        field: String,
        /// The annotation for the same.
        annotation: Annotation,
    },
    /// What an own `byrnie-proxy` says of itself, and may nowhere.
    #[error("{}: is the mesh's own; {accepted} are accepted in a container of this name", shown(field))]
    Own {
        /// The field of the container.
        field: String,
        /// The fields that may be there.
        accepted: String,
    },
    /// A name that the mesh needs.
    #[error("{}: the name is kept for what the mesh adds; another name is accepted", shown(field))]
    Reserved {
        /// The container or volume.
        field: String,
    },
    /// A user of the application whose traffic would go past the mesh.
    #[error(
        "{}: found {id}, by which the sidecar's own traffic is told from that of the application; any other is accepted",
        shown(field)
    )]
    User {
        /// The field of the Pod or container.
        field: String,
        /// User or group.
        id: u32,
    },
    /// A port that the sidecar listens at.
    #[error(
        "{}: the sidecar listens at {number}; any other port than 15000, 15001, 15006, 15020 and 15021 is accepted",
        shown(field)
    )]
    Port {
        /// The field of the container.
        field: String,
        /// The port.
        number: u64,
    },
    /// There is one sidecar.
    #[error("the Pod has two containers byrnie-proxy; one is accepted")]
    Twice,
    /// Not what an API server would have let through.
    #[error("{}: {wanted} is accepted", shown(field))]
    Shape {
        /// The field.
        field: String,
        /// What it is to be.
        wanted: &'static str,
    },
}

/// As much of the text as a message has.
pub fn shown(text: &str) -> Cow<'_, str> {
    match text.len() > LONGEST {
        true => format!("{}...", &text[..text.floor_char_boundary(LONGEST - 3)]).into(),
        false => text.into(),
    }
}
