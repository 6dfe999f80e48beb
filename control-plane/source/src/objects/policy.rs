//! Byrnie's own kinds, `mesh.byrnie.io/v1alpha1`: TrafficPolicy, PeerPolicy, MeshConfig.

mod health;
mod injection;
pub(crate) mod mesh;
pub(crate) mod peer;
mod retry;
pub(crate) mod traffic;

use byrnie_model::PeerMode;
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether callers must prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Mode {
    /// Mesh TLS and plain text are both taken, and the application's own TLS passes through.
    Permissive,
    /// Mesh TLS alone is taken.
    Strict,
}

impl From<Mode> for PeerMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Permissive => Self::Permissive,
            Mode::Strict => Self::Strict,
        }
    }
}

#[cfg(test)]
mod tests;
