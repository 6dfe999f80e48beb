use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_ca::State;
use byrnie_model::WorkloadName;
use byrnie_snapshot::bootstrap::{self, Bootstrap, XdsAddress};
use clap::{Subcommand, ValueEnum};

use crate::{state::StateDirectory, token};

/// `byrnie bootstrap`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    client: ClientKind,
}

#[derive(Debug, Subcommand)]
enum ClientKind {
    /// For `envoy -c FILE`: prints the file, with a join token
    Envoy(EnvoyArgs),
    /// For proxyless gRPC: prints the file that GRPC_XDS_BOOTSTRAP names
    Grpc(Common),
}

#[derive(Debug, clap::Args)]
struct EnvoyArgs {
    #[command(flatten)]
    common: Common,
    /// Where Envoy's admin interface listens; it is open to all who reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    envoy_admin_address: SocketAddr,
    /// Which variant of xDS Envoy speaks
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// Speak TLS to a loopback address too: for a control plane that listens on more than loopback
    #[arg(long)]
    xds_tls: bool,
    /// How long the join token is good for: Envoy shows it whenever it connects
    #[arg(long, value_name = "TIME", value_parser = byrnie_control_plane::lifetime, default_value = "24h")]
    token_ttl: Duration,
    #[command(flatten)]
    state: StateDirectory,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The workload that the client speaks for: NAMESPACE/POD
    #[arg(long, value_name = "NAMESPACE/POD")]
    workload: WorkloadName,
    /// Where the control plane serves xDS: HOST:PORT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:15010")]
    xds_address: XdsAddress,
}

/// A variant of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Only differences.
    #[default]
    Delta,
    /// State of the world.
    Sotw,
}

/// Prints a bootstrap.
pub fn run(args: &Args) -> Result<()> {
    match &args.client {
        ClientKind::Envoy(args) => print!("{}", bootstrap::envoy(&envoy(args)?)),
        ClientKind::Grpc(common) => {
            // Beyond this machine a token is needed, and gRPC's bootstrap has no place for one.
            let address = &common.xds_address;
            ensure!(
                address.is_loopback(),
                "--xds-address {address}: a proxyless gRPC client is served on a loopback address only"
            );
            print!("{}", bootstrap::grpc(&plain(common)));
        }
    }
    Ok(())
}

fn plain(common: &Common) -> Bootstrap {
    Bootstrap::new(common.workload.clone(), common.xds_address.clone())
}

fn envoy(args: &EnvoyArgs) -> Result<Bootstrap> {
    let address = &args.common.xds_address;
    ensure!(
        !address.is_unspecified(),
        "--xds-address {address}: a client cannot call that; name the address or host by which it reaches the control plane"
    );
    let token = token::mint(&args.common.workload, args.token_ttl, &args.state)?;
    let trust = if address.is_loopback() && !args.xds_tls { None } else { Some(roots(&args.state)?) };
    Ok(Bootstrap {
        trust,
        token: Some(token),
        admin: args.envoy_admin_address,
        delta: args.protocol == Protocol::Delta,
        ..plain(&args.common)
    })
}

/// The roots that prove a control plane beyond this machine.
fn roots(state: &StateDirectory) -> Result<String> {
    let path = State::roots_file(&state.path()?);
    fs::read_to_string(&path).with_context(|| format!("cannot read the roots in {}", path.display()))
}
