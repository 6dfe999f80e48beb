use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use byrnie_ca::State;
use byrnie_model::WorkloadName;
use byrnie_proto::bootstrap::{self, Bootstrap, Source, XdsAddress};
use clap::{Subcommand, ValueEnum};

use crate::{state::StateDirectory, token};

/// A control plane on this machine.
const LOCAL: &str = "127.0.0.1:15010";
/// An installed one, as a Pod finds it.
const IN_A_CLUSTER: &str = "byrnie-control-plane.byrnie-system.svc:15012";

/// `byrnie bootstrap`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    client: ClientKind,
}

#[derive(Debug, Subcommand)]
enum ClientKind {
    /// For `envoy -c FILE`: prints the file, with a join token or the path of another one
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
    /// The file of a token, as Envoy sees it: for a bound token in a cluster, which Envoy reads anew whenever it connects.
    /// No token stands in the bootstrap then, and no state directory is read
    #[arg(long, value_name = "PATH", conflicts_with_all = ["token_ttl", "state"])]
    token_file: Option<String>,
    /// The file of the roots that prove the control plane, as Envoy sees it: in a cluster key root.crt of the ConfigMap
    /// byrnie-trust. Envoy reads it when it starts; implies TLS
    #[arg(long, value_name = "PATH", requires = "token_file")]
    roots_file: Option<String>,
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
    /// Where the control plane serves xDS: HOST:PORT [default: 127.0.0.1:15010, with --token-file
    /// byrnie-control-plane.byrnie-system.svc:15012]
    #[arg(long, value_name = "HOST:PORT")]
    xds_address: Option<XdsAddress>,
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
            let address = common.xds_address(LOCAL);
            ensure!(
                address.is_loopback(),
                "--xds-address {address}: a proxyless gRPC client is served on a loopback address only"
            );
            print!("{}", bootstrap::grpc(&Bootstrap::new(&common.workload, address)));
        }
    }
    Ok(())
}

impl Common {
    fn xds_address(&self, default: &str) -> XdsAddress {
        let default = || default.parse().expect("a host and a port");
        self.xds_address.clone().unwrap_or_else(default)
    }
}

fn envoy(args: &EnvoyArgs) -> Result<Bootstrap> {
    let address = args.common.xds_address(if args.token_file.is_some() { IN_A_CLUSTER } else { LOCAL });
    ensure!(
        !address.is_unspecified(),
        "--xds-address {address}: a client cannot call that; name the address or host by which it reaches the control plane"
    );
    let token = match &args.token_file {
        Some(path) => Source::File(path.clone()),
        None => Source::Inline(token::mint(&args.common.workload, args.token_ttl, &args.state)?),
    };
    Ok(Bootstrap {
        trust: trust(args, &address)?,
        token: Some(token),
        admin: args.envoy_admin_address,
        delta: args.protocol == Protocol::Delta,
        ..Bootstrap::new(&args.common.workload, address)
    })
}

/// The roots that prove a control plane; none where it is spoken to in plain text.
fn trust(args: &EnvoyArgs, address: &XdsAddress) -> Result<Option<Source>> {
    if let Some(path) = &args.roots_file {
        return Ok(Some(Source::File(path.clone())));
    }
    if address.is_loopback() && !args.xds_tls {
        return Ok(None);
    }
    ensure!(
        args.token_file.is_none(),
        "--token-file: the control plane at {address} is spoken to in TLS; name the file of its roots by --roots-file"
    );
    let path = State::roots_file(&args.state.path()?);
    let roots = fs::read_to_string(&path).with_context(|| format!("cannot read the roots in {}", path.display()))?;
    Ok(Some(Source::Inline(roots)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: EnvoyArgs,
    }

    fn made(options: &[&str]) -> Result<Bootstrap> {
        let given = ["envoy", "--workload", "shop/web-1", "--token-file", "/token"];
        envoy(&Command::try_parse_from(given.iter().chain(options))?.args)
    }

    #[test]
    fn with_a_token_in_a_file_the_control_plane_is_the_installed_one_and_is_proven() {
        let bootstrap = made(&["--roots-file", "/root.crt"]).unwrap();
        assert_eq!(bootstrap.server.to_string(), IN_A_CLUSTER);
        assert_eq!(bootstrap.trust, Some(Source::File("/root.crt".to_owned())));
        assert_eq!(bootstrap.token, Some(Source::File("/token".to_owned())));
        let unproven = made(&[]).unwrap_err().to_string();
        assert!(unproven.contains(IN_A_CLUSTER) && unproven.contains("--roots-file"), "{unproven}");
        assert_eq!(made(&["--xds-address", LOCAL]).unwrap().trust, None);
        for other in [["--state", "/state"], ["--token-ttl", "1h"]] {
            assert!(made(&other).is_err(), "{other:?} makes a token");
        }
    }
}
