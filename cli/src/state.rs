//! Where the CA and its keys are kept, for every verb that needs them.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// `--state`
#[derive(Clone, Debug, clap::Args)]
pub struct StateDirectory {
    /// Directory of the CA and its keys [default: $XDG_STATE_HOME/byrnie or ~/.local/state/byrnie]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateDirectory {
    /// Whether a directory was named.
    pub fn is_named(&self) -> bool {
        self.state.is_some()
    }

    /// The directory that was named, or the one under the user's state home (XDG Base Directory Specification).
    pub fn path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.state {
            return Ok(path.clone());
        }
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|home| home.join("byrnie"))
            .context("neither XDG_STATE_HOME nor HOME is set: name the state directory with --state DIR")
    }
}
