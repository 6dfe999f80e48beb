//! The chart of the control plane: `byrnie install` prints what Helm renders, and a real API server takes it from both.

mod cluster;
mod rights;
mod same;
mod webhooks;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Result, ensure};
use byrnie_tests::{process::byrnie, tools};

/// The major versions of Helm.
const HELMS: [u32; 2] = [3, 4];

/// A place for values and for what Helm keeps, and how one gets objects from the chart.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// The path of a file with this text.
    fn file(&self, name: &str, text: &str) -> Result<String> {
        let file = self.folder.path().join(name);
        fs::write(&file, text)?;
        Ok(file.display().to_string())
    }

    /// Helm, as the user of a kubeconfig.
    fn helm(&self, major: u32, kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program(major)?);
        // All that Helm keeps on a machine stands in its home.
        command.args(arguments).env("KUBECONFIG", kubeconfig).env("HOME", self.folder.path());
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        printed(&mut command)
    }

    /// What `helm template` makes of the chart.
    fn template(&self, major: u32, namespace: &str, options: &[&str]) -> Result<String> {
        let chart = chart();
        let arguments = ["template", "byrnie", &chart, "--namespace", namespace, "--kube-version", "1.36.0"];
        self.helm(major, Path::new("/nonexistent"), &[&arguments, options].concat())
    }
}

/// Where a release of Helm is, looked up once.
fn program(major: u32) -> Result<PathBuf> {
    static FOUND: Mutex<BTreeMap<u32, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().expect("nobody panics while looking");
    if let Some(path) = found.get(&major) {
        return Ok(path.clone());
    }
    let path = tools::helm(major)?;
    found.insert(major, path.clone());
    Ok(path)
}

/// What `byrnie install` prints.
fn install(options: &[&str]) -> Result<String> {
    printed(Command::new(byrnie()?).arg("install").args(options))
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn chart() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/byrnie").display().to_string()
}
