//! What comes in.

use std::{fmt::Write, mem, sync::Arc, time::Instant};

use byrnie_config::Refused;
use byrnie_proto::{
    Kind,
    envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource as Message, ResourceError},
};

use super::{Client, Reply};
use crate::held::{Entry, Held, Rejection, Version};

/// How much of a NACK is text; a server need not keep more.
const TEXT_LIMIT: usize = 8 * 1024;
/// `google.rpc.Code`
const NOT_FOUND: i32 = 5;

/// What a response brought, for logs and metrics.
#[derive(Debug, Default)]
pub struct Received {
    /// The kind; `None` for a type that was never asked for.
    pub kind: Option<Kind>,
    /// How many resources are new or changed.
    pub updated: usize,
    /// How many are gone.
    pub removed: usize,
    /// What cannot be honoured; the response was refused where there is something.
    pub refused: Vec<(Arc<str>, Rejection)>,
}

impl Client {
    /// Takes in a response. What is good of it counts, even where something else of it is refused.
    pub fn on_response(&mut self, response: DeltaDiscoveryResponse, now: Instant) -> Received {
        // Nobody waits for the answer to what nobody asked for.
        let Ok(kind) = response.type_url.parse::<Kind>() else { return Received::default() };
        let mut received = Received { kind: Some(kind), ..Received::default() };
        for message in response.resources {
            self.take(kind, message, &mut received);
        }
        for name in response.removed_resources {
            received.removed += usize::from(self.withdraw(kind, &name));
        }
        for error in response.resource_errors {
            self.on_error(kind, error);
        }
        self.answered |= kind == Kind::Listener && self.table(kind).opened;
        let error = (!received.refused.is_empty()).then(|| nack(kind, &received.refused));
        let table = self.table_mut(kind);
        // To what was not asked for on this stream there is no answer: as the first request of clusters, without a name,
        // it would ask for all (rule 11).
        if table.opened {
            table.replies.push_back(Reply { nonce: response.nonce, error });
        }
        self.settle(now);
        received
    }

    fn take(&mut self, kind: Kind, message: Message, received: &mut Received) {
        self.table_mut(kind).heard_of(&message.name);
        let table = self.table(kind);
        let entry = table.entries.get(&*message.name);
        if entry.is_none() && !table.wildcard {
            return;
        }
        // A resource without a body only prolongs the life of the one before (TTL).
        let Some(any) = message.resource else { return };
        let held = entry.and_then(|entry| entry.held.candidate());
        if let Some(held) = held
            && !message.version.is_empty()
            && held.version.as_str() == message.version
        {
            let held = Held::Live(held.clone());
            if let Some(entry) = self.table_mut(kind).entries.get_mut(&*message.name) {
                entry.held = held;
            }
            return;
        }
        let read = if any.type_url == kind.type_url() {
            self.read(kind, &message.name, &message.version, &any.value)
        } else {
            let problem = format!("{:?}: {:?} is accepted", any.type_url, kind.type_url());
            Err(Refused { path: "type_url".to_owned(), problem })
        };
        let name: Arc<str> = message.name.into();
        let entry = self.table_mut(kind).entries.entry(name.clone()).or_insert_with(|| Entry::awaited(false, None));
        match read {
            Ok(good) => {
                entry.held = Held::Live(Arc::new(good));
                received.updated += 1;
            }
            Err(why) => {
                let why = Rejection { version: Version::from(&*message.version), why };
                entry.refuse(why.clone());
                received.refused.push((name, why));
            }
        }
    }

    fn withdraw(&mut self, kind: Kind, name: &str) -> bool {
        let table = self.table_mut(kind);
        if table.heard_of(name) {
            return false;
        }
        let Some(entry) = table.entries.get_mut(name) else { return false };
        let had = entry.held.candidate().is_some();
        entry.held = Held::Withdrawn;
        // What only `*` covered is nobody's any more.
        entry.referred &= entry.named;
        had
    }

    /// The server has a word on one name instead of a resource.
    fn on_error(&mut self, kind: Kind, error: ResourceError) {
        let (Some(name), Some(status)) = (error.resource_name, error.error_detail) else { return };
        if status.code == NOT_FOUND {
            self.withdraw(kind, &name.name);
        } else if let Some(entry) = self.table_mut(kind).entries.get_mut(&*name.name) {
            let why = Refused { path: "resource_errors".to_owned(), problem: status.message };
            entry.refuse(Rejection { version: Version::from(""), why });
        }
    }
}

impl Entry {
    fn refuse(&mut self, why: Rejection) {
        let before = mem::replace(&mut self.held, Held::Withdrawn);
        let serving = match before {
            Held::Live(good) => Some(good),
            Held::Refused { serving, .. } => serving,
            Held::Awaited { .. } | Held::Withdrawn => None,
        };
        self.held = Held::Refused { serving, why };
    }
}

/// Names each resource, its field and the problem: the control plane looks for the names.
fn nack(kind: Kind, refused: &[(Arc<str>, Rejection)]) -> String {
    let mut text = String::new();
    for (at, (name, rejection)) in refused.iter().enumerate() {
        if text.len() >= TEXT_LIMIT {
            // Writing to a string cannot fail.
            let _ = write!(text, "; and {} more", refused.len() - at);
            break;
        }
        let _ = write!(text, "{}{kind} {name:?}: {rejection}", if at == 0 { "" } else { "; " });
    }
    text
}
