//! Counts system calls of running processes: by `perf`, which costs them next to nothing, or by `strace`, which slows
//! them so much that they find more to do at each turn.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long the tool may take to attach; neither says when it has.
const ATTACH: Duration = Duration::from_millis(300);

const EVENT: &str = "raw_syscalls:sys_enter";

/// A program that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Perf,
    Strace,
}

/// A running count.
#[derive(Debug)]
pub struct Counter {
    tool: Tool,
    child: Child,
    output: PathBuf,
}

impl Tool {
    /// The one that works here.
    pub fn find() -> Option<Self> {
        let works = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if works("perf", &["stat", "-e", EVENT, "--", "true"]) {
            Some(Self::Perf)
        } else {
            works("strace", &["-c", "true"]).then_some(Self::Strace)
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Perf => "perf stat -e raw_syscalls:sys_enter",
            Self::Strace => "strace -c -f",
        }
    }
}

impl Counter {
    /// Begins to count.
    pub fn attach(tool: Tool, pids: &[u32], folder: &Path) -> Result<Self> {
        let output = folder.join("system-calls");
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        let mut command = match tool {
            Tool::Perf => {
                let mut command = Command::new("perf");
                command.args(["stat", "-x,", "-e", EVENT, "-p", &pids.join(",")]);
                command
            }
            Tool::Strace => {
                let mut command = Command::new("strace");
                command.args(["-c", "-f"]);
                command.args(pids.iter().flat_map(|pid| ["-p", pid.as_str()]));
                command
            }
        };
        command.arg("-o").arg(&output).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        std::thread::sleep(ATTACH);
        Ok(Self { tool, child, output })
    }

    /// How many there were.
    pub fn finish(mut self) -> Result<u64> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a child has a number")?;
        kill_process(pid, Signal::INT)?;
        self.child.wait()?;
        let text = fs::read_to_string(&self.output)?;
        let count = match self.tool {
            Tool::Perf => text.lines().find(|line| line.contains(EVENT)).and_then(|line| line.split(',').next()),
            Tool::Strace => text
                .lines()
                .rfind(|line| line.trim_end().ends_with("total"))
                .and_then(|line| line.split_whitespace().nth(3)),
        };
        let count = count.and_then(|count| count.parse().ok()).with_context(|| format!("no count in {text:?}"))?;
        ensure!(count > 0, "no system call was counted");
        Ok(count)
    }
}
