//! The two kinds of iptables, and the programs that speak for them.

use std::{
    fmt,
    io::{self, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{present::Present, rules::Family};

/// How long another program's lock on the tables of the older kind is waited for, in seconds.
const LOCK_WAIT: &str = "5";
/// Where the lock stands if nobody says otherwise (iptables, `XTABLES_LOCKFILE`).
const LOCK: &str = "/run/xtables.lock";
/// Writable in a container whose root is read-only.
const LOCK_WITHOUT_RUN: &str = "/dev/shm/byrnie-xtables.lock";
/// Where Debian has the programs, which the PATH of an image may lack.
const PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Which of the kernel's two machineries holds the rules. A packet goes through both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nf_tables, through iptables' own commands.
    Nft,
    /// x_tables.
    Legacy,
}

/// What a program of iptables did not do.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It could not be started.
    #[error(
        "{program} cannot be run ({source}); it comes with the package iptables (Debian, Ubuntu: apt-get install iptables)"
    )]
    Program {
        /// Its name.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It said no.
    #[error("{program}: {said}{}", hint(said))]
    Refused {
        /// Its name.
        program: String,
        /// On one line.
        said: String,
    },
}

impl Backend {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nft, Self::Legacy];

    /// The one that this is not.
    pub fn other(self) -> Self {
        match self {
            Self::Nft => Self::Legacy,
            Self::Legacy => Self::Nft,
        }
    }

    /// What stands in the tables of the family.
    pub(crate) fn save(self, family: Family) -> Result<Present, BackendError> {
        let saved = run(&self.program(family, "save"), &[], "")?;
        Ok(Present::read(&saved))
    }

    /// Puts a text of `iptables-restore` in force, all of it or nothing.
    pub(crate) fn restore(self, family: Family, text: &str) -> Result<(), BackendError> {
        run(&self.program(family, "restore"), &["--noflush", "--wait", LOCK_WAIT], text).map(drop)
    }

    fn program(self, family: Family, does: &str) -> String {
        let command = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        format!("{command}-{self}-{does}")
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        })
    }
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, BackendError> {
    let failed = |source| BackendError::Program { program: program.to_owned(), source };
    let output = started(program, arguments, input).map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = match on_one_line(&output.stderr) {
        said if said.is_empty() => output.status.to_string(),
        said => said,
    };
    Err(BackendError::Refused { program: program.to_owned(), said })
}

fn started(program: &str, arguments: &[&str], input: &str) -> io::Result<Output> {
    let path = PLACES.iter().map(|place| Path::new(place).join(program)).find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| program.into()));
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if std::env::var_os("XTABLES_LOCKFILE").is_none() && !can_lock() {
        command.env("XTABLES_LOCKFILE", LOCK_WITHOUT_RUN);
    }
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read all says why on its standard error.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

fn can_lock() -> bool {
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(LOCK).is_ok()
}

/// Without the warnings, such as that the other kind has rules too.
fn on_one_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter(|line| !line.starts_with("Try `")).collect::<Vec<_>>().join("; ")
}

/// What is most likely behind a refusal.
fn hint(said: &str) -> &'static str {
    let any = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if any(&["Permission denied", "Operation not permitted", "must be root"]) {
        return " (it needs to be root with the capabilities NET_ADMIN and NET_RAW)";
    }
    if any(&[
        "does not exist (do you need to insmod?)",
        "Protocol not supported",
        "Table does not exist",
        "unable to initialize table",
    ]) {
        return " (the kernel has no such tables: the node lacks a module, or --backend names the wrong kind)";
    }
    if any(&["No chain/target/match by that name", "No such file or directory", "Extension"]) {
        return " (the kernel lacks REDIRECT or the match owner: the node has to load xt_REDIRECT and xt_owner)";
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_and_says_what_is_most_likely_behind_it() {
        let said = on_one_line(
            b"# Warning: iptables-legacy tables present\niptables-nft-restore: Could not fetch rule set generation id: \
              Permission denied (you must be root)\n\n",
        );
        let error = BackendError::Refused { program: "iptables-nft-restore".to_owned(), said };
        let told = error.to_string();
        assert!(told.ends_with("(it needs to be root with the capabilities NET_ADMIN and NET_RAW)"), "{told}");
        assert!(!told.contains("Warning") && told.lines().count() == 1, "{told}");
    }
}
