//! What the agent is started with.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::settings::{SettingError, Sidecar, SidecarArguments};

/// Stands beside an Envoy that is the sidecar of a workload: has its certificate, and passes on what it asks of the
/// control plane
#[derive(Debug, Parser)]
#[command(name = "byrnie-proxy agent", bin_name = "byrnie-proxy agent", version)]
pub struct Arguments {
    #[command(flatten)]
    sidecar: SidecarArguments,
    /// The Unix socket where Envoy asks
    #[arg(long, value_name = "PATH", default_value = "/var/lib/byrnie/xds.sock")]
    socket: PathBuf,
    /// A file that is written for `envoy -c`; without it, none is
    #[arg(long, value_name = "FILE")]
    bootstrap: Option<PathBuf>,
    /// Where Envoy's admin interface listens; it is open to all who reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    envoy_admin_address: SocketAddr,
}

/// The same, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose it is, and its control plane.
    pub sidecar: Sidecar,
    /// Where Envoy asks.
    pub socket: PathBuf,
    /// Where what Envoy is started with is written.
    pub bootstrap: Option<PathBuf>,
    /// Envoy's admin interface.
    pub envoy_admin: SocketAddr,
}

impl Arguments {
    /// Looks at what the options name.
    ///
    /// # Errors
    /// Where nothing can be started by them.
    pub fn check(self) -> Result<Settings, SettingError> {
        Ok(Settings {
            sidecar: self.sidecar.check()?,
            socket: self.socket,
            bootstrap: self.bootstrap,
            envoy_admin: self.envoy_admin_address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_micro_proxy_are_enough() {
        let given = ["agent", "--workload", "shop/cart-1", "--xds-address", "127.0.0.1:15010", "--token-file", "t"];
        let settings = Arguments::try_parse_from(given).unwrap().check().unwrap();
        assert_eq!(settings.socket, PathBuf::from("/var/lib/byrnie/xds.sock"));
        assert_eq!(settings.bootstrap, None);
        assert_eq!(settings.envoy_admin.to_string(), "127.0.0.1:15000");
        assert_eq!(settings.sidecar.workload.as_str(), "shop/cart-1");
    }
}
