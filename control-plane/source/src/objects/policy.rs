//! Byrnie's own kinds, `mesh.byrnie.io/v1alpha1`: TrafficPolicy, PeerPolicy, MeshConfig.

mod health;
pub(crate) mod mesh;
pub(crate) mod peer;
mod retry;
pub(crate) mod traffic;

use byrnie_model::PeerMode;
use serde::Deserialize;

/// `mode` of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Mode {
    Permissive,
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
