//! How a client stands to one resource.

use std::sync::Arc;

use byrnie_proto::Kind;
use byrnie_snapshot::Resource;

use super::{Protocol, Session, held::Sent, is_full};

/// How a client stands to what is in force under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Footing {
    /// It was sent that and accepted it, or has nothing where nothing is.
    Accepted,
    /// It was not sent that yet, or did not answer yet.
    Pending,
    /// It refused that, in these words.
    Refused(Arc<str>),
}

impl Session {
    /// How the client stands to a name that it subscribed to and under which it is to have `wanted`.
    pub(crate) fn footing(&self, kind: Kind, name: &str, wanted: Option<&Resource>) -> Footing {
        let subscription = self.of(kind);
        let flights = &subscription.flights;
        let has = match (wanted, subscription.held.sent(name)) {
            (Some(wanted), Sent::This(sent)) => sent.version() == wanted.version(),
            (Some(_), Sent::Nothing | Sent::Stale) => false,
            (None, Sent::Nothing) => true,
            // Where omission means nothing, nothing can be taken back.
            (None, Sent::This(_) | Sent::Stale) => self.protocol == Protocol::Sotw && !is_full(kind),
        };
        if !has || flights.is_on_its_way(name) {
            return Footing::Pending;
        }
        match (wanted, flights.doubted(name)) {
            (Some(wanted), Some(doubt)) if doubt.version == wanted.version() => {
                doubt.text.clone().map_or(Footing::Pending, Footing::Refused)
            }
            (Some(_), Some(_)) => Footing::Pending,
            (_, None) | (None, Some(_)) => Footing::Accepted,
        }
    }
}
