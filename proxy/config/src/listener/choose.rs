//! Which chain takes a connection.

use super::{Chain, Listener, Transport};

/// What is known of a connection when a chain is chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The port that was called.
    pub port: u16,
    /// SNI, in lower case.
    pub server_name: Option<&'a str>,
    /// What stands on the wire.
    pub transport: Transport,
    /// ALPN values in the order in which they are offered, or what was detected: `http/1.0`, `http/1.1`, `h2c`.
    pub applications: &'a [&'a [u8]],
}

impl Listener {
    /// The chain of a connection. As in Envoy each condition narrows the choice to the most specific chains, one after
    /// the other and without a way back: a chain for the port that was called keeps those for any port out, even where
    /// it fits by nothing else.
    pub fn choose(&self, seen: &Seen<'_>) -> Option<&Chain> {
        self.fitting(seen).or(self.default.as_ref())
    }

    fn fitting(&self, seen: &Seen<'_>) -> Option<&Chain> {
        let chains = self.chains.iter();
        let port = Some(seen.port).filter(|port| chains.clone().any(|chain| chain.matches.port == Some(*port)));
        let chains = chains.filter(move |chain| chain.matches.port == port);

        let names = seen.server_name.into_iter().flat_map(names);
        let name = best(chains.clone().map(|chain| &*chain.matches.server_names), names)?;
        let chains = chains.filter(move |chain| has(&chain.matches.server_names, name));

        let transport = Some(seen.transport);
        let transport = transport.filter(|_| chains.clone().any(|chain| chain.matches.transport == transport));
        let chains = chains.filter(move |chain| chain.matches.transport == transport);

        let offered = seen.applications.iter().map(|offered| Name { star: false, rest: offered });
        let application = best(chains.clone().map(|chain| &*chain.matches.applications), offered)?;
        chains.clone().find(|chain| has(&chain.matches.applications, application))
    }
}

/// A name, or `*` and what follows it.
#[derive(Clone, Copy)]
struct Name<'a> {
    star: bool,
    rest: &'a [u8],
}

/// The name itself, then the wildcards that it fits, the longest first: of `a.b.c` `*.b.c` and `*.c`.
fn names(name: &str) -> impl Iterator<Item = Name<'_>> {
    let dots = name.bytes().enumerate().skip(1).filter(|(at, octet)| *octet == b'.' && at + 1 < name.len());
    let wildcards = dots.map(|(at, _)| Name { star: true, rest: &name.as_bytes()[at..] });
    std::iter::once(Name { star: false, rest: name.as_bytes() }).chain(wildcards)
}

/// The first of `wanted` that a list has, or none where a list is empty and so takes anything. `None` where neither is.
fn best<'a>(
    lists: impl Iterator<Item = &'a [Box<str>]> + Clone,
    mut wanted: impl Iterator<Item = Name<'a>>,
) -> Option<Option<Name<'a>>> {
    let found = wanted.find(|name| lists.clone().any(|list| has(list, Some(*name))));
    let any = || lists.clone().any(<[_]>::is_empty);
    if found.is_some() || any() { Some(found) } else { None }
}

fn has(list: &[Box<str>], name: Option<Name<'_>>) -> bool {
    let Some(Name { star, rest }) = name else { return list.is_empty() };
    list.iter().any(|known| match known.strip_prefix('*') {
        Some(known) => star && known.as_bytes() == rest,
        None => !star && known.as_bytes() == rest,
    })
}
