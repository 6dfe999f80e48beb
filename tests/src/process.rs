//! Child processes that end with their owner, and what the kernel says of them.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus},
};

use anyhow::{Context, Result, anyhow};
pub use byrnie_runtime::process::Usage;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// A child process; it is killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command`; `name` stands in errors.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{name}: cannot start {:?}", command.get_program()))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error where it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(anyhow!("{} ended: {status}", self.name)),
            None => Ok(()),
        }
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        let id = Pid::from_raw(self.child.id() as i32).context("a child has a process id")?;
        Ok(kill_process(id, Signal::TERM)?)
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let mut ended = None;
        until(&format!("{} ends", self.name), async || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })
        .await?;
        ended.context("it has ended")
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        Ok(Usage::of(self.child.id())?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `byrnie` program of this workspace.
pub fn byrnie() -> Result<PathBuf> {
    program("byrnie")
}

/// A program of this workspace, which stands in `target/PROFILE/` above this program's own place.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("no {name} above {}: build it with `cargo build -p {name}`", here.display()))
}
