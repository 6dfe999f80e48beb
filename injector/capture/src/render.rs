//! Rules as the text that `iptables-restore --noflush` reads: one transaction a family, whatever was there before.

use std::fmt::Write;

use crate::{
    present::Present,
    rules::{Chain, Match, Rules, Target},
};

/// The chains of the kernel from which ours are reached.
const JUMPS: [(&str, Chain); 2] = [("PREROUTING", Chain::Inbound), ("OUTPUT", Chain::Output)];

/// What opens a TCP connection, as `iptables-save` prints `--syn`. The kernel may see one first in its midst that is older than
/// the rules, as the sidecar's own to the control plane is, and takes whoever speaks then for the one who called.
const OPENING: &str = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";

/// What puts the rules in force in place of what was there of ours.
pub fn restore(rules: &Rules, present: &Present) -> String {
    let mut text = String::from("*nat\n");
    // To name a chain makes it, or empties it.
    for chain in Chain::ALL.map(Chain::name).into_iter().chain(present.stale()) {
        text += &format!(":{chain} - [0:0]\n");
    }
    for jump in &present.jumps {
        text += &format!("-D {jump}\n");
    }
    for (hook, chain) in JUMPS {
        text += &format!("-A {hook} {OPENING} -j {}\n", chain.name());
    }
    text += &chains(rules, &Chain::ALL);
    for chain in present.stale() {
        text += &format!("-X {chain}\n");
    }
    text + "COMMIT\n"
}

/// What takes detours away from the rules that are in force, and changes nothing else.
pub fn without_detours(rules: &Rules) -> String {
    let names = Chain::REDIRECTS.map(|chain| format!(":{} - [0:0]\n", chain.name())).concat();
    format!("*nat\n{names}{}COMMIT\n", chains(rules, &Chain::REDIRECTS))
}

/// What takes away all that is ours.
pub fn removal(present: &Present) -> String {
    let mut text = String::from("*nat\n");
    for jump in &present.jumps {
        text += &format!("-D {jump}\n");
    }
    // A chain that another leads to cannot be deleted: all are emptied first.
    for command in ["-F", "-X"] {
        for chain in &present.chains {
            text += &format!("{command} {chain}\n");
        }
    }
    text + "COMMIT\n"
}

/// What a first start puts in force, for people to read.
pub fn dry_run(rules: &Rules) -> String {
    format!("# {}\n{}", rules.family(), restore(rules, &Present::default()))
}

/// The rules of chains of ours, as `iptables-save` prints them.
fn chains(rules: &Rules, of: &[Chain]) -> String {
    let mut text = String::new();
    for rule in rules.iter().filter(|rule| of.contains(&rule.chain)) {
        let _ = write!(text, "-A {}", rule.chain.name());
        rule.matches.iter().for_each(|one| text += &matched(one));
        let _ = match rule.target {
            Target::Return => writeln!(text, " -j RETURN"),
            Target::Jump(chain) => writeln!(text, " -j {}", chain.name()),
            Target::Redirect(port) => writeln!(text, " -p tcp -j REDIRECT --to-ports {port}"),
        };
    }
    text
}

fn matched(one: &Match) -> String {
    match one {
        Match::Source(block) => format!(" -s {block}"),
        Match::Destination(block) => format!(" -d {block}"),
        Match::In(interface) => format!(" -i {interface}"),
        Match::Out(interface) => format!(" -o {interface}"),
        Match::Port(ports) => format!(" -p tcp -m tcp --dport {}", range(ports.ends(), ':')),
        Match::Uid(ids) => format!(" -m owner --uid-owner {}", range(ids.ends(), '-')),
        Match::Gid(ids) => format!(" -m owner --gid-owner {}", range(ids.ends(), '-')),
    }
}

fn range<T: PartialEq + std::fmt::Display>((first, last): (T, T), to: char) -> String {
    if first == last { first.to_string() } else { format!("{first}{to}{last}") }
}
