//! Puts the rules in force and takes them away: which kind of iptables, which families, and in which order.

use std::{
    fs, io,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use crate::{
    arguments::{BackendChoice, Ipv6},
    backend::{Backend, BackendError},
    check::{CheckError, Listens, Proof, Trial},
    netlink::{LOOPBACK, Netlink},
    present::Present,
    render::{removal, restore, without_detours},
    rules::{Family, Rules},
    settings::Settings,
};

/// What was put in force.
#[derive(Debug)]
pub struct Applied {
    /// In which tables.
    pub backend: Backend,
    /// For which addresses.
    pub families: Vec<Family>,
    /// What came of the check, if there was one.
    pub proof: Option<Result<Proof, CheckError>>,
}

/// Why nothing, or not all, was put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Not what an init container is given.
    #[error("this process lacks {}; user 0 with the capabilities NET_ADMIN and NET_RAW is accepted", .0.join(" and "))]
    Capabilities(Vec<&'static str>),
    /// No kind of iptables can be used.
    #[error("neither kind of iptables works here: {0}")]
    Neither(String),
    /// The chosen kind says no.
    #[error("{family} cannot be redirected: {source}{}", if *family == Family::V6 { "; --ipv6 off leaves IPv6 out" } else { "" })]
    Refused {
        /// Of the addresses.
        family: Family,
        /// What it said.
        source: BackendError,
    },
    /// Without the address, the proxy cannot call the application.
    #[error("the address {} cannot be added to lo: {source}; it needs the capability NET_ADMIN", Family::V6.inbound_source())]
    Address {
        /// What the operating system said.
        source: io::Error,
    },
}

/// The families that this network namespace has.
pub fn families(ipv6: Ipv6) -> Vec<Family> {
    // One line an address, with the interface last; no file where the kernel has no IPv6. What is on `lo` alone is
    // called by nobody else.
    let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let has_ipv6 = addresses.lines().filter_map(|line| line.split_ascii_whitespace().last()).any(|name| name != "lo");
    match ipv6 {
        Ipv6::Auto if has_ipv6 => Family::ALL.to_vec(),
        Ipv6::Auto | Ipv6::Off => vec![Family::V4],
    }
}

/// Puts the rules in force, in place of any of ours that were there, in either kind of iptables, and proves them within the
/// time if there is one.
pub fn apply(
    settings: &Settings,
    choice: BackendChoice,
    families: &[Family],
    check: Option<Duration>,
) -> Result<Applied, ApplyError> {
    capable()?;
    let (seen, trial) = thread::scope(|scope| {
        let seen = scope.spawn(Seen::look);
        let trial = check.map(|limit| Ok((Trial::new(settings, families, Listens::AtItsOwn)?, limit)));
        (joined(seen), trial)
    });
    let rules: Vec<_> = families.iter().map(|family| Rules::new(settings, *family)).collect();
    let detour = |rules: &Rules| match &trial {
        Some(Ok((trial, _))) => rules.clone().with(trial.detours(rules.family())),
        Some(Err(_)) | None => rules.clone(),
    };
    let backend = seen.put_in_force(choice, &rules.iter().map(detour).collect::<Vec<_>>())?;
    let proof = match trial {
        Some(Ok((trial, limit))) => Some(prove(trial, limit, backend, &rules)?),
        Some(Err(error)) => Some(Err(error)),
        None => None,
    };
    Ok(Applied { backend, families: families.to_vec(), proof })
}

/// Makes the trial, and takes its detours away from the rules, whatever came of it.
fn prove(
    mut trial: Trial,
    limit: Duration,
    backend: Backend,
    rules: &[Rules],
) -> Result<Result<Proof, CheckError>, ApplyError> {
    let proof = trial.prove(limit);
    thread::scope(|scope| {
        // The kernel takes longer to delete the wire.
        scope.spawn(|| drop(trial));
        rules.iter().try_for_each(|rules| put(backend, rules.family(), &without_detours(rules)))
    })?;
    Ok(proof)
}

fn put(backend: Backend, family: Family, text: &str) -> Result<(), ApplyError> {
    backend.restore(family, text).map_err(|source| ApplyError::Refused { family, source })
}

/// What the thread has made; it panics if the thread did.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Takes away all that is ours, in both kinds of iptables. `true`: there was something.
pub fn clean() -> Result<bool, ApplyError> {
    capable()?;
    let seen = Seen::look();
    seen.choose(BackendChoice::Auto)?;
    let mut found = false;
    for backend in Backend::ALL {
        found |= seen.remove(backend, &Family::ALL)?;
    }
    let removed =
        Netlink::open().and_then(|netlink| netlink.delete_address(LOOPBACK, Family::V6.inbound_source(), 128));
    Ok(found | removed.is_ok())
}

/// Looked for at first: without them each program fails in words of its own.
fn capable() -> Result<(), ApplyError> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    // Where the kernel does not tell, iptables does.
    let Some(effective) = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()) else {
        return Ok(());
    };
    // capability.h: CAP_NET_ADMIN is 12, CAP_NET_RAW is 13.
    let wanted = [(12, "NET_ADMIN"), (13, "NET_RAW")];
    let lacking = wanted.into_iter().filter(|(bit, _)| effective & (1 << bit) == 0);
    let lacking: Vec<_> = lacking.map(|(_, name)| name).collect();
    if lacking.is_empty() { Ok(()) } else { Err(ApplyError::Capabilities(lacking)) }
}

/// What the programs see, or why they see nothing.
struct Seen(Vec<(Backend, Family, Result<Present, BackendError>)>);

impl Seen {
    fn look() -> Self {
        let pairs = Backend::ALL.into_iter().flat_map(|backend| Family::ALL.map(|family| (backend, family)));
        thread::scope(|scope| {
            // Each program takes a while to be loaded.
            let threads = pairs.map(|(backend, family)| (backend, family, scope.spawn(move || backend.save(family))));
            let threads: Vec<_> = threads.collect();
            Self(threads.into_iter().map(|(backend, family, thread)| (backend, family, joined(thread))).collect())
        })
    }

    fn of(&self, backend: Backend) -> impl Iterator<Item = (Family, &Present)> {
        self.0.iter().filter(move |one| one.0 == backend).filter_map(|one| Some((one.1, one.2.as_ref().ok()?)))
    }

    fn lines(&self, backend: Backend) -> usize {
        self.of(backend).map(|(_, present)| present.lines).sum()
    }

    /// The kind that has rules of ours, then the one with more of others', then nft, if it works.
    fn choose(&self, choice: BackendChoice) -> Result<Backend, ApplyError> {
        let [nft, legacy] = Backend::ALL.map(|backend| {
            let ours = self.of(backend).any(|(_, present)| present.is_ours());
            (ours, self.lines(backend))
        });
        match choice {
            BackendChoice::Nft => Ok(Backend::Nft),
            BackendChoice::Legacy => Ok(Backend::Legacy),
            BackendChoice::Auto if legacy > nft => Ok(Backend::Legacy),
            BackendChoice::Auto => {
                let works = |backend: &Backend| self.of(*backend).any(|(family, _)| family == Family::V4);
                Backend::ALL.into_iter().find(works).ok_or_else(|| ApplyError::Neither(self.refusals()))
            }
        }
    }

    fn refusals(&self) -> String {
        let of_ipv4 = self.0.iter().filter(|one| one.1 == Family::V4);
        of_ipv4.filter_map(|one| Some(one.2.as_ref().err()?.to_string())).collect::<Vec<_>>().join("; ")
    }

    /// The kind of iptables that has the rules then. What is of ours elsewhere is taken away.
    fn put_in_force(&self, choice: BackendChoice, rules: &[Rules]) -> Result<Backend, ApplyError> {
        let mut backend = self.choose(choice)?;
        if let Err(error) = self.replace(backend, rules) {
            // Where nothing says which kind the node uses, it is the one that works.
            if choice != BackendChoice::Auto || self.lines(backend) > 0 {
                return Err(error);
            }
            Self::look().remove(backend, &Family::ALL)?;
            backend = backend.other();
            self.replace(backend, rules).map_err(|_| error)?;
        }
        let is_meant = |family: &Family| rules.iter().any(|rules| rules.family() == *family);
        let others: Vec<_> = Family::ALL.into_iter().filter(|family| !is_meant(family)).collect();
        self.remove(backend, &others)?;
        self.remove(backend.other(), &Family::ALL)?;
        if is_meant(&Family::V6) {
            let netlink = Netlink::open();
            let added = netlink.and_then(|netlink| netlink.add_address(LOOPBACK, Family::V6.inbound_source(), 128));
            match added {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(ApplyError::Address { source });
                }
                _ => {}
            }
        }
        Ok(backend)
    }

    fn replace(&self, backend: Backend, all: &[Rules]) -> Result<(), ApplyError> {
        all.iter().try_for_each(|rules| {
            let (family, nothing) = (rules.family(), Present::default());
            let present = self.of(backend).find(|(of, _)| *of == family).map_or(&nothing, |(_, present)| present);
            put(backend, family, &restore(rules, present))
        })
    }

    fn remove(&self, backend: Backend, families: &[Family]) -> Result<bool, ApplyError> {
        let mut found = false;
        let ours = self.of(backend).filter(|(family, present)| families.contains(family) && present.is_ours());
        for (family, present) in ours {
            put(backend, family, &removal(present))?;
            found = true;
        }
        Ok(found)
    }
}
