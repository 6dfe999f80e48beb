//! `byrnie-control-plane`: the control plane of a cluster, as the chart installs it.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use byrnie_control_plane::{ControlPlane, Installed, Mode, Settings, cluster_names::NAMESPACE, leaf_lifetime};
use byrnie_runtime::{listen::everywhere, logs, told::told};
use byrnie_source::Access;
use clap::Parser;

/// The control plane of a service mesh: follows the API server, issues certificates, serves xDS.
///
/// Unlike `byrnie run` it also writes to the cluster: its keys to a Secret, the trust bundle to a ConfigMap in each
/// namespace of the mesh, the status of routes and policies. Several run side by side; a Lease says who writes.
#[derive(Debug, Parser)]
#[command(name = "byrnie-control-plane", version)]
struct Arguments {
    /// The namespace of the control plane
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// What this replica is called; others have other names [default: the host name]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pod: Option<String>,
    /// Where proxies connect, by TLS [default: 15012 of all addresses, of both families where there is IPv6]
    #[arg(long, value_name = "ADDRESS", default_value_t = everywhere(15012), hide_default_value = true)]
    xds_address: SocketAddr,
    /// Health and metrics, by plain HTTP [default: 15014 of all addresses]
    #[arg(long, value_name = "ADDRESS", default_value_t = everywhere(15014), hide_default_value = true)]
    probe_address: SocketAddr,
    /// Debugging beside them, by plain HTTP: for this machine alone, reached by port-forward
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15015")]
    admin_address: SocketAddr,
    /// A Secret in the namespace with an issuer of your own (tls.crt, tls.key, ca.crt) [default: a new root is made]
    #[arg(long, value_name = "NAME")]
    issuer_secret: Option<String>,
    /// How long a workload's certificate lasts, 10s to 24h; it is renewed at two thirds of that
    #[arg(long, value_name = "TIME", value_parser = leaf_lifetime, default_value = "24h")]
    leaf_lifetime: Duration,
    /// The kubeconfig [default: in a Pod its ServiceAccount, else $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Form of the log on standard error; BYRNIE_LOG sets what is logged (default: info)
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    log_format: logs::Format,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("byrnie-control-plane: {}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    logs::init(arguments.log_format, None)?;
    let settings = settings(arguments)?;
    tokio::runtime::Runtime::new()?.block_on(async { Ok(ControlPlane::build(settings).await?.serve().await?) })
}

fn settings(arguments: Arguments) -> Result<Settings> {
    let pod = match arguments.pod {
        Some(pod) => pod,
        None => {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
            name.context("the host name cannot be read: name this replica with --pod")?.trim().to_owned()
        }
    };
    let installed = Installed {
        namespace: arguments.namespace.into(),
        pod: pod.into(),
        issuer: arguments.issuer_secret.map(Into::into),
    };
    Ok(Settings {
        mode: Mode::Installed {
            access: Access { kubeconfig: arguments.kubeconfig, context: arguments.context },
            installed,
        },
        xds_address: arguments.xds_address,
        admin_address: arguments.admin_address,
        probe_address: Some(arguments.probe_address),
        leaf_lifetime: arguments.leaf_lifetime,
    })
}
