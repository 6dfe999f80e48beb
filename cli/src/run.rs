use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use byrnie_control_plane::{ControlPlane, Settings};
use byrnie_runtime::logs;

use crate::state::StateDirectory;

/// `byrnie run`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of Kubernetes objects: every *.yaml, *.yml and *.json below it
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Where proxies connect. An address other than loopback is served by TLS and needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15010")]
    xds_address: SocketAddr,
    /// Health, metrics and debugging, by plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014")]
    admin_address: SocketAddr,
    #[command(flatten)]
    state: StateDirectory,
    /// Form of the log on standard error; BYRNIE_LOG sets what is logged (default: info)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: logs::Format,
}

/// Serves until a signal comes.
pub async fn run(args: Args) -> Result<()> {
    logs::init(args.log_format, None)?;
    let settings = Settings {
        config: args.config,
        state: args.state.path()?,
        xds_address: args.xds_address,
        admin_address: args.admin_address,
    };
    ControlPlane::build(settings).await?.serve().await?;
    Ok(())
}
