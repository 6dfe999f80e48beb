//! A control plane as a real process over a directory of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    http,
    objects::free_address,
    process::{Process, byrnie},
    wait::until,
};

/// `byrnie run` over a directory that the test writes, or over an API server.
#[derive(Debug)]
pub struct Mesh {
    folder: TempDir,
    config: PathBuf,
    kubeconfig: Option<PathBuf>,
    xds: SocketAddr,
    admin: SocketAddr,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Mesh {
    /// Starts with these files.
    pub async fn start(files: &[(&str, String)]) -> Result<Self> {
        Self::with_arguments(&[], files).await
    }

    /// Starts with these files, and with more arguments of `byrnie run`.
    pub async fn with_arguments(arguments: &[&str], files: &[(&str, String)]) -> Result<Self> {
        let mut mesh = Self::prepare()?;
        mesh.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        for (name, text) in files {
            mesh.write(name, text)?;
        }
        mesh.restart().await?;
        Ok(mesh)
    }

    /// Starts with a directory at `place` in the test's folder, which `lay_out` makes.
    pub async fn over(place: &str, lay_out: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let mut mesh = Self::prepare()?;
        lay_out(mesh.folder())?;
        mesh.config = mesh.folder().join(place);
        mesh.restart().await?;
        Ok(mesh)
    }

    /// Starts with an API server in place of a directory, as the user of a kubeconfig.
    pub async fn of_cluster(kubeconfig: PathBuf) -> Result<Self> {
        let mut mesh = Self { kubeconfig: Some(kubeconfig), ..Self::prepare()? };
        mesh.restart().await?;
        Ok(mesh)
    }

    fn prepare() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        let (xds, admin) = (free_address(15010), free_address(15014));
        Ok(Self { folder, config, kubeconfig: None, xds, admin, arguments: Vec::new(), process: None })
    }

    /// Ends the control plane, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it (again) on the same ports and state, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new(byrnie()?);
        command.arg("run").arg("--state").arg(self.state());
        match &self.kubeconfig {
            Some(file) => command.arg("--kubeconfig").arg(file),
            None => command.arg("--config").arg(&self.config),
        };
        command.arg("--xds-address").arg(self.xds.to_string()).arg("--admin-address").arg(self.admin.to_string());
        command.args(&self.arguments);
        command.stdin(Stdio::null()).stderr(fs::File::create(self.folder.path().join("control-plane.log"))?);
        self.process = Some(Process::start("byrnie run", &mut command)?);
        self.until("the control plane is ready", async |mesh| {
            Ok(http::get(mesh.admin, "localhost", "/healthz/ready").await?.status == 200)
        })
        .await
    }

    /// The directory of objects.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The directory of the CA.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A folder for what belongs to the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where xDS is served.
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// Where the admin port is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The control plane itself.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the test did not kill the control plane")
    }

    /// Writes a file of objects whole, by rename.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let temporary = self.config.join(format!(".{name}.next"));
        fs::write(&temporary, text)?;
        Ok(fs::rename(temporary, self.config.join(name))?)
    }

    /// Removes a file of objects.
    pub fn remove(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.config.join(name))?)
    }

    /// What the control plane has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("control-plane.log")).unwrap_or_default()
    }

    /// Runs a verb of the CLI against this control plane: standard output, or an error with standard error.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let admin = self.admin.to_string();
        let output = Command::new(byrnie()?).args(arguments).args(["--admin-address", &admin]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A JSON document of the admin port.
    pub async fn debug(&self, path: &str) -> Result<serde_json::Value> {
        let answer = http::get(self.admin, "localhost", path).await?;
        serde_json::from_str(&answer.body).with_context(|| format!("{path}: {} {}", answer.status, answer.body))
    }

    /// Waits until a condition holds; the log of the control plane is told where it never does.
    pub async fn until(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Result<bool>) -> Result<()> {
        let held = until(what, async || look(self).await).await;
        held.with_context(|| format!("control plane log:\n{}", self.log()))
    }
}
