//! What everything that stands beside a workload is started with, micro-proxy or agent: whose it is, and its control plane.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use byrnie_proto::bootstrap::XdsAddress;
use byrnie_runtime::{listen::everywhere, logs};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::Workload;
use crate::{
    identity::Source,
    pod::{Served, ServedError},
};

/// The options as they were given.
#[derive(Debug, clap::Args)]
pub struct SidecarArguments {
    /// The workload that this stands beside
    #[arg(long, value_name = "NAMESPACE/POD")]
    workload: Workload,
    /// Where the control plane serves xDS. Beyond loopback TLS is spoken, and --roots-file is needed
    #[arg(long, value_name = "HOST:PORT")]
    xds_address: XdsAddress,
    /// The token that proves who this is (`byrnie token`); read at each connect
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The roots that the control plane is proven by, PEM
    #[arg(long, value_name = "FILE")]
    roots_file: Option<PathBuf>,
    /// Speak TLS to a loopback address too
    #[arg(long)]
    xds_tls: bool,
    /// A port of all addresses that tells a kubelet whether this is ready, by plain HTTP: `/ready`, `/healthz/ready`
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// A port of all addresses where a kubelet has its probes of the application made, and a scraper finds the metrics of
    /// both, by plain HTTP: `/byrnie/probe/...`, `/metrics`
    #[arg(long, value_name = "PORT")]
    probe_port: Option<u16>,
    /// The probes, as the injector writes them
    #[arg(long, env = "BYRNIE_PROBES", hide_env_values = true, value_name = "JSON")]
    probes: Option<String>,
    /// Where the application has its metrics, as the injector writes it
    #[arg(long, env = "BYRNIE_SCRAPE", hide_env_values = true, value_name = "JSON")]
    scrape: Option<String>,
    /// Where what serves is kept, the certificate with its key included, so that a restart serves while the control plane
    /// is away
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: logs::Format,
    /// What is logged, such as `debug` or `info,byrnie_xds=debug` [default: BYRNIE_LOG, else info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// The same, checked.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// Who this is.
    pub workload: Workload,
    /// The control plane.
    pub xds: XdsAddress,
    /// The roots of the control plane's certificate, PEM; none is plain text.
    pub roots_file: Option<PathBuf>,
    /// Proves who this is; the file may come late and change.
    pub token_file: PathBuf,
    /// Where a kubelet asks whether this is ready.
    pub health: Option<SocketAddr>,
    /// Where a kubelet and a scraper ask for the application.
    pub probes: Option<SocketAddr>,
    /// What they find there.
    pub served: Served,
    /// What outlives a restart; the folder is there.
    pub state: Option<PathBuf>,
    /// Of the log.
    pub log_format: logs::Format,
    /// Of the log; none leaves it to `BYRNIE_LOG`.
    pub log: Option<String>,
}

/// An option that nothing can be started with.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// An address that nobody can call.
    #[error(
        "--xds-address {0}: a client cannot call that; name the address or host by which it reaches the control plane"
    )]
    Unspecified(XdsAddress),
    /// TLS without anything to prove the server by.
    #[error(
        "--xds-address {0}: TLS is spoken beyond loopback and with --xds-tls, and needs --roots-file FILE with the roots of the control plane"
    )]
    NoRoots(XdsAddress),
    /// Roots that are not there.
    #[error("--roots-file {}: {problem}; a readable file with at least one certificate in PEM is accepted", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Probes or metrics of no application.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A place that nothing can be kept in.
    #[error("--state {}: {source}; a directory that this user may write to is accepted", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl SidecarArguments {
    /// Looks at what the options name. A token that is not there yet is not looked for.
    pub(crate) fn check(self) -> Result<Sidecar, SettingError> {
        let xds = self.xds_address;
        if xds.is_unspecified() {
            return Err(SettingError::Unspecified(xds));
        }
        let roots_file = match self.roots_file {
            None if self.xds_tls || !xds.is_loopback() => return Err(SettingError::NoRoots(xds)),
            // Plain text on loopback has no use for roots, and a common set of options may name them nevertheless.
            given => given.filter(|_| self.xds_tls || !xds.is_loopback()),
        };
        if let Some(path) = &roots_file {
            has_certificate(path).map_err(|problem| SettingError::Roots { path: path.clone(), problem })?;
        }
        if let Some(path) = &self.state {
            fs::create_dir_all(path).map_err(|source| SettingError::State { path: path.clone(), source })?;
        }
        let served = Served::read(self.probes.as_deref(), self.scrape.as_deref())?;
        Ok(Sidecar {
            workload: self.workload,
            xds,
            roots_file,
            token_file: self.token_file,
            health: self.health_port.map(everywhere),
            probes: self.probe_port.map(everywhere),
            served,
            state: self.state,
            log_format: self.log_format,
            log: self.log,
        })
    }
}

impl Sidecar {
    /// The control plane as the one that signs.
    pub(crate) fn source(&self) -> Source {
        Source {
            workload: self.workload.to_string(),
            address: self.xds.to_string(),
            roots_file: self.roots_file.clone(),
            token_file: self.token_file.clone(),
        }
    }
}

fn has_certificate(path: &Path) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    match CertificateDer::pem_slice_iter(&text).next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("no certificate in it".to_owned()),
    }
}
