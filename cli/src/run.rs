use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use byrnie_control_plane::{ControlPlane, Mode, Settings, leaf_lifetime};
use byrnie_runtime::logs;
use byrnie_source::Access;

use crate::state::StateDirectory;

/// `byrnie run`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Where proxies connect. An address other than loopback is served by TLS and needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15010")]
    xds_address: SocketAddr,
    /// Health, metrics and debugging, by plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014")]
    admin_address: SocketAddr,
    #[command(flatten)]
    state: StateDirectory,
    /// How long a workload's certificate lasts, 10s to 24h; it is renewed at two thirds of that
    #[arg(long, value_name = "TIME", value_parser = leaf_lifetime, default_value = "24h")]
    leaf_lifetime: Duration,
    /// Form of the log on standard error; BYRNIE_LOG sets what is logged (default: info)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: logs::Format,
}

/// Where the objects are: one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Source {
    /// Directory of Kubernetes objects: every *.yaml, *.yml and *.json below it
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Follow an API server in place of a directory: that of the cluster in which this runs, else that of the kubeconfig
    #[arg(long, conflicts_with = "config")]
    kubernetes: bool,
    /// The kubeconfig [default: $KUBECONFIG or ~/.kube/config]; implies --kubernetes
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]; implies --kubernetes
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    context: Option<String>,
}

/// Serves until a signal comes.
pub async fn run(args: Args) -> Result<()> {
    logs::init(args.log_format, None)?;
    let settings = Settings {
        mode: args.source.mode(args.state.path()?, args.state.is_named()),
        xds_address: args.xds_address,
        admin_address: args.admin_address,
        probe_address: None,
        leaf_lifetime: args.leaf_lifetime,
    };
    ControlPlane::build(settings).await?.serve().await?;
    Ok(())
}

impl Source {
    /// Join tokens are accepted beside an API server's where the directory of their key was named.
    fn mode(self, state: PathBuf, join_tokens: bool) -> Mode {
        match self.config {
            Some(config) => Mode::Directory { config, state },
            None => {
                let access = Access { kubeconfig: self.kubeconfig, context: self.context };
                Mode::Following { access, state, join_tokens }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn beside_an_api_server_join_tokens_need_a_named_state() {
        for (line, expected) in [("--kubernetes", false), ("--kubeconfig a --state b", true)] {
            let args = Line::parse_from(["run"].into_iter().chain(line.split(' '))).args;
            let mode = args.source.mode("state".into(), args.state.is_named());
            let Mode::Following { join_tokens, .. } = mode else { panic!("{line}: {mode:?}") };
            assert_eq!(join_tokens, expected, "{line}");
        }
    }
}
