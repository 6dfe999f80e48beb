//! Child processes that never outlive the demo: ended in order when it ends, and by the kernel when it is killed.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal};

const GRACE: Duration = Duration::from_secs(3);

/// One running child, the leader of a process group of its own: Ctrl-C in the terminal reaches the demo only.
pub struct Child {
    /// What it is to the reader: `sidecar of web-1`.
    pub name: String,
    process: tokio::process::Child,
    log: PathBuf,
}

/// The hidden mode in which every child starts: it ties its life to the demo's and becomes the program.
#[derive(Clone, Debug, clap::Args)]
pub struct Tied {
    /// The process id of the demo.
    #[arg(long)]
    pub parent: i32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

impl Child {
    /// Starts a program; what it prints goes to `log`.
    ///
    /// To be called on a thread that lives as long as the demo: Linux ends the child with the thread that made it
    /// (prctl(2), PR_SET_PDEATHSIG).
    pub fn start(name: &str, program: &Path, arguments: &[OsString], log: PathBuf) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("{} cannot be written", log.display()))?;
        let own = std::env::current_exe().context("the path of the running program is unknown")?;
        let mut command = tokio::process::Command::new(own);
        command
            .args(["demo-app", "tied", "--parent"])
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name: name.to_owned(), process, log })
    }

    /// How it ended, if it did, with the last lines that it printed.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok()??;
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        let said = lines.into_iter().rev().collect::<Vec<_>>().join("\n    ");
        Some(format!("{} ended with {status}\n    {said}", self.name))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself meanwhile; until it is waited for, its id is nobody else's.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

/// Ends all: SIGTERM, and SIGKILL to those that are still there after three seconds.
pub async fn stop(children: &mut Vec<Child>) {
    for child in children.iter() {
        child.signal(Signal::TERM);
    }
    let deadline = tokio::time::Instant::now() + GRACE;
    for child in children.iter_mut() {
        if tokio::time::timeout_at(deadline, child.process.wait()).await.is_err() {
            child.signal(Signal::KILL);
            let _ = child.process.wait().await;
        }
    }
    children.clear();
}

impl Tied {
    /// Becomes the program; returns only where that fails.
    pub fn run(self) -> anyhow::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The demo may have been killed before the line above.
        if rustix::process::getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(self.parent) {
            anyhow::bail!("the demo that started this process is gone");
        }
        let (program, arguments) = self.command.split_first().context("no program was named")?;
        let error = std::process::Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("{} could not be started", Path::new(program).display()))
    }
}
