//! A control plane as a real process, over a directory of its own or an API server of its own: the same tests run with
//! both, chosen by `BYRNIE_TEST_SOURCE`.

mod cluster;

use std::{
    env, fs,
    io::{Write, stderr},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use self::cluster::Cluster;
use crate::{
    http,
    objects::free_address,
    process::{Process, byrnie},
    wait::until,
};

/// Names the source of the tests' objects.
const SOURCE: &str = "BYRNIE_TEST_SOURCE";

/// `byrnie run` over the objects that the test writes.
#[derive(Debug)]
pub struct Mesh {
    // Ends before what it reads goes.
    process: Option<Process>,
    folder: TempDir,
    source: Source,
    xds: SocketAddr,
    admin: SocketAddr,
    arguments: Vec<String>,
}

/// Where the objects stand.
#[derive(Debug)]
enum Source {
    /// In files of this directory.
    Directory(PathBuf),
    /// At an API server, which is given what files would say.
    Cluster(Cluster),
    /// At an API server that the test fills itself, as the user of this kubeconfig.
    User(PathBuf),
}

/// Whether objects stand in a directory. For a test that cannot hold for an API server: `reason` says why, and is told
/// where the test is left out.
pub fn is_directory(reason: &str) -> Result<bool> {
    if by_directory()? {
        return Ok(true);
    }
    // Not by a macro: of those nothing is shown while the test passes.
    let current = thread::current();
    writeln!(stderr(), "left out with {SOURCE}=kubernetes: {}: {reason}", current.name().unwrap_or_default())?;
    Ok(false)
}

fn by_directory() -> Result<bool> {
    match env::var_os(SOURCE).as_deref().map(|found| found.to_string_lossy()).as_deref() {
        None | Some("directory") => Ok(true),
        Some("kubernetes") => Ok(false),
        Some(other) => bail!("{SOURCE}: found {other:?}; `directory` (the default) and `kubernetes` are accepted"),
    }
}

impl Mesh {
    /// Starts with these files.
    pub async fn start(files: &[(&str, String)]) -> Result<Self> {
        Self::with_arguments(&[], files).await
    }

    /// Starts with these files, and with more arguments of `byrnie run`.
    pub async fn with_arguments(arguments: &[&str], files: &[(&str, String)]) -> Result<Self> {
        let mut mesh = match by_directory()? {
            true => Self::of_directory()?,
            false => Self::prepare(tempfile::tempdir()?, Source::Cluster(Cluster::take().await?)),
        };
        mesh.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        for (name, text) in files {
            mesh.write(name, text)?;
        }
        mesh.restart().await?;
        Ok(mesh)
    }

    /// Starts with a directory at `place` in the test's folder, which `lay_out` makes; never with an API server.
    pub async fn over(place: &str, lay_out: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        lay_out(folder.path())?;
        let config = folder.path().join(place);
        let mut mesh = Self::prepare(folder, Source::Directory(config));
        mesh.restart().await?;
        Ok(mesh)
    }

    /// Starts with an API server that the test fills itself, as the user of a kubeconfig.
    pub async fn of_cluster(kubeconfig: PathBuf) -> Result<Self> {
        let mut mesh = Self::prepare(tempfile::tempdir()?, Source::User(kubeconfig));
        mesh.restart().await?;
        Ok(mesh)
    }

    /// Starts with these files in a directory, and with xDS served at this address, which sidecars on other machines reach.
    pub async fn reached_at(xds: SocketAddr, files: &[(&str, String)]) -> Result<Self> {
        let mut mesh = Self::of_directory()?;
        mesh.xds = xds;
        for (name, text) in files {
            mesh.write(name, text)?;
        }
        mesh.restart().await?;
        Ok(mesh)
    }

    fn of_directory() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        Ok(Self::prepare(folder, Source::Directory(config)))
    }

    fn prepare(folder: TempDir, source: Source) -> Self {
        let (xds, admin) = (free_address(15010), free_address(15014));
        Self { process: None, folder, source, xds, admin, arguments: Vec::new() }
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
        match &self.source {
            Source::Directory(config) => command.arg("--config").arg(config),
            Source::Cluster(cluster) => command.arg("--kubeconfig").arg(cluster.kubeconfig()),
            Source::User(kubeconfig) => command.arg("--kubeconfig").arg(kubeconfig),
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

    /// Writes a file of objects whole, by rename; an API server holds what it says when this returns.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        match &self.source {
            Source::Cluster(cluster) => cluster.write(name, text),
            _ => {
                let temporary = self.config()?.join(format!(".{name}.next"));
                fs::write(&temporary, text)?;
                Ok(fs::rename(temporary, self.config()?.join(name))?)
            }
        }
    }

    /// Removes a file of objects.
    pub fn remove(&self, name: &str) -> Result<()> {
        match &self.source {
            Source::Cluster(cluster) => cluster.remove(name),
            _ => Ok(fs::remove_file(self.config()?.join(name))?),
        }
    }

    /// The directory of objects, where they stand in one.
    pub fn config(&self) -> Result<&Path> {
        match &self.source {
            Source::Directory(config) => Ok(config),
            _ => bail!("the objects of this mesh stand in no directory"),
        }
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
