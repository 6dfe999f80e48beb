//! Finding Envoy: the one that is named, or the one of the project's cache, fetched at the first use.

use std::{
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use tokio::process::Command;

/// The variable that names an Envoy.
const VARIABLE: &str = "BYRNIE_ENVOY";
/// The same script that the tests use, so that `byrnie demo` works away from the sources.
const TOOLS: &str = include_str!("../../../scripts/tools");

/// The path of an Envoy program. `directory` takes the script that fetches it.
pub async fn find(directory: &Path) -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return runnable(PathBuf::from(named)).with_context(|| format!("{VARIABLE} names no program"));
    }
    let script = directory.join("tools");
    std::fs::write(&script, TOOLS).with_context(|| format!("{} cannot be written", script.display()))?;
    let ensured = python(&script, "ensure").status().await.map_err(no_python)?;
    if !ensured.success() {
        bail!(
            "Envoy could not be fetched ({ensured}); {VARIABLE}=/path/to/envoy names one that is there already, and --proxy micro needs none"
        );
    }
    let output = python(&script, "path").stdout(Stdio::piped()).output().await.map_err(no_python)?;
    let path = String::from_utf8(output.stdout).context("the path of Envoy is no text")?;
    runnable(PathBuf::from(path.trim())).context("the fetched Envoy cannot be used")
}

fn python(script: &Path, verb: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(script).args([verb, "envoy"]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn no_python(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "python3 is not on the PATH: it fetches Envoy once (Debian, Ubuntu: apt install python3); {VARIABLE}=/path/to/envoy and --proxy micro do without"
        ),
        _ => anyhow::Error::new(error).context("python3 could not be started"),
    }
}

fn runnable(path: PathBuf) -> anyhow::Result<PathBuf> {
    let metadata = std::fs::metadata(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        bail!("{} is not an executable file", path.display());
    }
    Ok(std::fs::canonicalize(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_run_is_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = runnable(file.path().to_owned()).unwrap_err().to_string();
        assert!(error.contains(file.path().to_str().unwrap()) && error.contains("executable"), "{error}");
        assert!(runnable(PathBuf::from("/nowhere/envoy")).is_err());
    }
}
