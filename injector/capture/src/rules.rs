//! The rules as data, one list for each family of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    settings::Settings,
    values::{Cidr, Ids, Interface, Port, Ports},
};

/// Ports of the proxy that others call as they are: merged metrics and probes, and health. The admin port is not among
/// them: it listens on loopback alone.
const OPEN: [&str; 2] = ["15020", "15021"];

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What is put in force for a family: all rules stand in the table `nat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    family: Family,
    rules: Vec<Rule>,
}

/// A chain of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// What comes to the Pod, and what its proxy sends to its own addresses.
    Inbound,
    /// To the sidecar's inbound port.
    InRedirect,
    /// What processes of the Pod send.
    Output,
    /// To the sidecar's outbound port.
    Redirect,
}

/// What happens to a TCP connection of which all matches are true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub chain: Chain,
    /// In the order in which `iptables-save` prints them.
    pub matches: Vec<Match>,
    /// What then happens.
    pub target: Target,
}

/// A property of the first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Its source.
    Source(Cidr),
    /// Its destination.
    Destination(Cidr),
    /// Where it came in.
    In(Interface),
    /// Where it goes out.
    Out(Interface),
    /// The port of its destination.
    Port(Ports),
    /// The user whose socket sends it.
    Uid(Ids),
    /// The group whose socket sends it.
    Gid(Ids),
}

/// Where the check wants what it sends itself, of addresses that are nobody's: to a listener of its own. The rule stands
/// where all others have led to the sidecar already, and differs from those in the port alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    /// For what comes in.
    Inbound {
        /// Who sends it.
        from: IpAddr,
        /// Where it goes.
        port: Port,
    },
    /// For what a process of the Pod sends.
    Outbound {
        /// Who is called.
        to: IpAddr,
        /// Where it goes.
        port: Port,
    },
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Goes on behind the rule that led to this chain; in the first chain the connection is left alone.
    Return,
    /// Goes through another chain.
    Jump(Chain),
    /// Is led to a port of this Pod.
    Redirect(Port),
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// What never leaves the Pod.
    fn loopback(self) -> Cidr {
        match self {
            Self::V4 => Cidr::fixed(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            Self::V6 => Cidr::fixed(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        }
    }

    /// From where the proxy calls the application that it stands beside.
    pub fn inbound_source(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6)),
        }
    }

    fn inbound_source_block(self) -> Cidr {
        alone(self.inbound_source())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Chain {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inbound, Self::InRedirect, Self::Output, Self::Redirect];

    /// Those that lead to the sidecar.
    pub(crate) const REDIRECTS: [Self; 2] = [Self::InRedirect, Self::Redirect];

    /// In the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "BYRNIE_INBOUND",
            Self::InRedirect => "BYRNIE_IN_REDIRECT",
            Self::Output => "BYRNIE_OUTPUT",
            Self::Redirect => "BYRNIE_REDIRECT",
        }
    }
}

impl Rules {
    /// The rules that do what the settings say.
    pub fn new(settings: &Settings, family: Family) -> Self {
        let mut rules = inbound(settings);
        rules.extend(output(settings, family));
        Self { family, rules }
    }

    /// The same with detours.
    pub(crate) fn with(mut self, detours: impl IntoIterator<Item = Detour>) -> Self {
        self.rules.splice(0..0, detours.into_iter().map(Detour::rule));
        self
    }

    /// Of the addresses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// In the order in which they are tried, within each chain.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

impl Detour {
    fn rule(self) -> Rule {
        let (chain, who, port) = match self {
            Self::Inbound { from, port } => (Chain::InRedirect, Match::Source(alone(from)), port),
            Self::Outbound { to, port } => (Chain::Redirect, Match::Destination(alone(to)), port),
        };
        Rule { chain, matches: vec![who], target: Target::Redirect(port) }
    }
}

/// The block that holds the address and no other.
fn alone(address: IpAddr) -> Cidr {
    Cidr::fixed(address, if address.is_ipv4() { 32 } else { 128 })
}

fn inbound(settings: &Settings) -> Vec<Rule> {
    let exclusions = settings.exclusions();
    let pass = |one: Match| Rule { chain: Chain::Inbound, matches: vec![one], target: Target::Return };
    let interfaces = exclusions.interfaces.iter().cloned().map(Match::In);
    // Who calls the proxy's own listeners is told by them that he is not redirected; a redirection would hide it.
    let own = [settings.outbound_port(), settings.inbound_port()].map(Ports::from);
    let open = OPEN.map(fixed_ports);
    let ports = own.into_iter().chain(open).chain(exclusions.inbound_ports.iter().copied()).map(Match::Port);
    let mut rules: Vec<Rule> = interfaces.chain(ports).map(pass).collect();
    rules.push(Rule { chain: Chain::Inbound, matches: Vec::new(), target: Target::Jump(Chain::InRedirect) });
    let redirect = Target::Redirect(settings.inbound_port());
    rules.push(Rule { chain: Chain::InRedirect, matches: Vec::new(), target: redirect });
    rules
}

fn output(settings: &Settings, family: Family) -> Vec<Rule> {
    let exclusions = settings.exclusions();
    let proxy = || [Match::Uid(settings.proxy_uid().into()), Match::Gid(settings.proxy_gid().into())];
    let local = || Match::Out(fixed_interface("lo"));
    let rule = |matches: Vec<Match>, target| Rule { chain: Chain::Output, matches, target };
    let pass = |matches| rule(matches, Target::Return);

    // From the proxy to the application, which must not come back to the proxy.
    let mut rules = vec![pass(vec![Match::Source(family.inbound_source_block()), local()])];
    // Within the Pod.
    rules.push(pass(vec![Match::Destination(family.loopback()), local()]));
    // The proxy has chosen this very Pod for a call to a service: it comes in as from any other Pod.
    rules.extend(proxy().map(|who| rule(vec![local(), who], Target::Jump(Chain::Inbound))));
    // The application calls itself by its own address.
    rules.push(pass(vec![local()]));
    rules.extend(proxy().map(|who| pass(vec![who])));
    let users = exclusions.uids.iter().copied().map(Match::Uid);
    let interfaces = exclusions.interfaces.iter().cloned().map(Match::Out);
    let ports = exclusions.outbound_ports.iter().copied().map(Match::Port);
    let blocks = exclusions.outbound_cidrs.iter().copied();
    let blocks = blocks.filter(|block| block.is_ipv4() == (family == Family::V4)).map(Match::Destination);
    rules.extend(users.chain(interfaces).chain(ports).chain(blocks).map(|one| pass(vec![one])));
    rules.push(rule(Vec::new(), Target::Jump(Chain::Redirect)));
    let redirect = Target::Redirect(settings.outbound_port());
    rules.push(Rule { chain: Chain::Redirect, matches: Vec::new(), target: redirect });
    rules
}

fn fixed_ports(port: &str) -> Ports {
    port.parse().expect("a port that stands in the code")
}

fn fixed_interface(name: &str) -> Interface {
    name.parse().expect("an interface that stands in the code")
}
