//! The processes of a cluster and their folder, which end and go together, however the test ends.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{process::Process, tools};

/// What every API server needs.
const ALWAYS: &[&str] = &["etcd", "kube-apiserver", "kubectl"];

/// Waits until whoever started it has gone, then ends the processes that it was told last, and removes the folder.
/// A process that was killed may write once more while the folder is being removed.
const WATCHDOG: &str = r#"
while read -r ids; do watched=$ids; done
[ -z "$watched" ] || kill -KILL $watched
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

/// Where a program is. Looked up once, and those that are always needed together: a look-up takes longer than kubectl.
pub fn path(name: &'static str) -> Result<PathBuf> {
    static FOUND: LazyLock<Mutex<BTreeMap<&'static str, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut found = FOUND.lock().expect("nobody panics while looking");
    if !found.contains_key(name) {
        let wanted = if ALWAYS.contains(&name) { ALWAYS } else { &[name] };
        found.extend(wanted.iter().copied().zip(tools::kubernetes(wanted)?));
    }
    found.get(name).cloned().with_context(|| format!("scripts/kubernetes tells no path of {name}"))
}

/// Processes by the names of their programs.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
    running: BTreeMap<&'static str, Process>,
    watchdog: Child,
}

impl Programs {
    /// None as yet.
    pub fn in_folder(folder: TempDir) -> Result<Self> {
        let folder = folder.keep();
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "sh"]).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null());
        // Of a group of its own: what ends the test's group (Ctrl-C, a runner's time limit) does not end it.
        let watchdog = command.stderr(Stdio::null()).process_group(0).spawn().context("sh cannot be started")?;
        Ok(Self { folder, running: BTreeMap::new(), watchdog })
    }

    /// Where they keep their files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a program has written.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Starts one.
    pub fn start(&mut self, name: &'static str, mut command: Command) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.log(name))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir(&self.folder);
        self.running.insert(name, Process::start(name, &mut command)?);
        self.tell()
    }

    /// Kills one, if it runs.
    pub fn end(&mut self, name: &str) -> Result<()> {
        self.running.remove(name);
        self.tell()
    }

    /// Sends one a signal.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let process = self.running.get(name).with_context(|| format!("{name} does not run"))?;
        let id = Pid::from_raw(process.id().cast_signed()).context("a child has a process id")?;
        Ok(kill_process(id, signal)?)
    }

    /// An error, with the end of its log, where one has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let (folder, running) = (&self.folder, &mut self.running);
        for (name, process) in running {
            process.check().with_context(|| {
                let log = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                lines[lines.len().saturating_sub(20)..].join("\n")
            })?;
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<()> {
        let ids: Vec<_> = self.running.values().map(|process| process.id().to_string()).collect();
        let input = self.watchdog.stdin.as_mut().context("the watchdog listens until this is dropped")?;
        writeln!(input, "{}", ids.join(" ")).context("what watches over the programs has ended")
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.running.clear();
        // Where it has ended already, nothing is left to be done.
        let _ = self.tell();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asleep() -> Result<(Programs, PathBuf)> {
        let mut programs = Programs::in_folder(tempfile::tempdir()?)?;
        let mut command = Command::new("sleep");
        command.arg("600");
        programs.start("sleep", command)?;
        let folder = programs.folder().to_owned();
        assert!(folder.join("sleep.log").exists());
        Ok((programs, folder))
    }

    #[test]
    fn they_end_with_their_owner_and_their_folder_goes() -> Result<()> {
        let (programs, folder) = asleep()?;
        drop(programs);
        assert!(!folder.exists());
        Ok(())
    }

    #[tokio::test]
    async fn they_end_when_the_whole_process_has_gone() -> Result<()> {
        let (mut programs, folder) = asleep()?;
        // What the kernel does for a process that was killed.
        drop(programs.watchdog.stdin.take());
        let ended = programs.running.get_mut("sleep").context("it was started")?.ended().await?;
        assert!(!ended.success());
        programs.watchdog.wait()?;
        assert!(!folder.exists());
        Ok(())
    }
}
