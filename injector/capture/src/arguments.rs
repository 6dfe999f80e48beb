//! What the program is started with: arguments as they were given, then as they were checked.

use std::{fmt, time::Duration};

use clap::{Parser, ValueEnum};

use crate::{
    settings::{Exclusions, SettingError, Settings},
    values::{Cidr, Ids, Interface, List, Port, Ports},
};

/// Redirects the traffic of this Pod to its sidecar by iptables, and proves that it is.
#[derive(Debug, Parser)]
#[command(name = "byrnie-init", version)]
pub struct Arguments {
    /// Where the sidecar takes what comes to the Pod
    #[arg(long, env = "BYRNIE_INBOUND_PORT", value_name = "PORT", default_value = "15006")]
    inbound_port: Port,
    /// Where the sidecar takes what the application sends
    #[arg(long, env = "BYRNIE_OUTBOUND_PORT", value_name = "PORT", default_value = "15001")]
    outbound_port: Port,
    /// The user that the proxy runs as: what it sends is left alone
    #[arg(long, env = "BYRNIE_PROXY_UID", value_name = "UID", default_value_t = 1337)]
    proxy_uid: u32,
    /// The group that the proxy runs as: what it sends is left alone
    #[arg(long, env = "BYRNIE_PROXY_GID", value_name = "GID", default_value_t = 1337)]
    proxy_gid: u32,
    /// Ports of the Pod that are left alone, such as 22,9000-9010
    #[arg(long, env = "BYRNIE_EXCLUDE_INBOUND_PORTS", value_name = "PORTS", default_value = "")]
    exclude_inbound_ports: List<Ports>,
    /// Ports whose calls by the Pod are left alone
    #[arg(long, env = "BYRNIE_EXCLUDE_OUTBOUND_PORTS", value_name = "PORTS", default_value = "")]
    exclude_outbound_ports: List<Ports>,
    /// Blocks of addresses whose calls by the Pod are left alone, such as 169.254.169.254,10.0.0.0/8
    #[arg(long, env = "BYRNIE_EXCLUDE_OUTBOUND_CIDRS", value_name = "CIDRS", default_value = "")]
    exclude_outbound_cidrs: List<Cidr>,
    /// Users by number whose calls are left alone, such as 1000,2000-2010
    #[arg(long, env = "BYRNIE_EXCLUDE_UIDS", value_name = "UIDS", default_value = "")]
    exclude_uids: List<Ids>,
    /// Interfaces that are left alone, such as net1,veth+
    #[arg(long, env = "BYRNIE_EXCLUDE_INTERFACES", value_name = "NAMES", default_value = "")]
    exclude_interfaces: List<Interface>,
    /// Which kind of iptables; auto: the one that has rules here, else the one that works, nft first
    #[arg(long, env = "BYRNIE_BACKEND", value_enum, value_name = "KIND", default_value_t)]
    backend: BackendChoice,
    /// auto: IPv6 is redirected where this Pod has it
    #[arg(long, env = "BYRNIE_IPV6", value_enum, value_name = "WHEN", default_value_t)]
    ipv6: Ipv6,
    /// How long the check of both directions may take in all, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    check_timeout: u64,
    /// Waits at the end until the sidecar is ready, which it is asked at this port of 127.0.0.1 by GET /healthz/ready
    #[arg(long, env = "BYRNIE_AWAIT_READY", value_name = "PORT")]
    await_ready: Option<Port>,
    /// Changes nothing: proves that the rules which are there do what these options say
    #[arg(long, conflicts_with_all = ["no_check", "clean", "dry_run"])]
    check: bool,
    /// Proves nothing after the rules are in force
    #[arg(long, conflicts_with_all = ["clean", "dry_run"])]
    no_check: bool,
    /// Takes away all rules of ours, of both kinds of iptables
    #[arg(long, conflicts_with = "dry_run")]
    clean: bool,
    /// Changes nothing: prints what iptables-restore and ip6tables-restore would be given
    #[arg(long)]
    dry_run: bool,
}

/// Which kind of iptables is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// Found by looking.
    #[default]
    Auto,
    /// nf_tables.
    Nft,
    /// x_tables.
    Legacy,
}

/// When IPv6 is redirected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Ipv6 {
    /// Where the network namespace has an address of it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// Puts the rules in force, proves them within the time if there is one, and waits for the sidecar if it has a port.
    Apply {
        /// The rules.
        settings: Settings,
        /// In which tables.
        backend: BackendChoice,
        /// Whether for IPv6.
        ipv6: Ipv6,
        /// For the proof.
        limit: Option<Duration>,
        /// Where the sidecar says whether it is ready.
        await_ready: Option<Port>,
    },
    /// Proves the rules that are there.
    Check {
        /// What they are to do.
        settings: Settings,
        /// Whether for IPv6.
        ipv6: Ipv6,
        /// For the proof.
        limit: Duration,
    },
    /// Takes the rules away.
    Clean,
    /// Prints the rules.
    DryRun(Settings),
}

impl Arguments {
    /// What the options say together.
    pub fn check(self) -> Result<Task, SettingError> {
        if self.clean {
            return Ok(Task::Clean);
        }
        let exclusions = Exclusions {
            inbound_ports: self.exclude_inbound_ports.into(),
            outbound_ports: self.exclude_outbound_ports.into(),
            outbound_cidrs: self.exclude_outbound_cidrs.into(),
            uids: self.exclude_uids.into(),
            interfaces: self.exclude_interfaces.into(),
        };
        let proxy = (self.proxy_uid, self.proxy_gid);
        let settings = Settings::new(self.inbound_port, self.outbound_port, proxy, exclusions)?;
        let limit = Duration::from_secs(self.check_timeout);
        let (backend, ipv6) = (self.backend, self.ipv6);
        Ok(match (self.dry_run, self.check) {
            (true, _) => Task::DryRun(settings),
            (false, true) => Task::Check { settings, ipv6, limit },
            (false, false) => {
                let limit = (!self.no_check).then_some(limit);
                Task::Apply { settings, backend, ipv6, limit, await_ready: self.await_ready }
            }
        })
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        })
    }
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Off => "off",
        })
    }
}
