//! One open stream, as the hub and the operator see it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use byrnie_snapshot::Client;

use crate::{mailbox::Mailbox, session::Session};

/// A stream that was admitted.
pub(crate) struct Connection {
    pub id: u64,
    pub client: Client,
    pub peer: Option<SocketAddr>,
    /// `node.user_agent_name` and its version.
    pub user_agent: Arc<str>,
    pub since: Instant,
    pub mailbox: Mailbox,
    session: Mutex<Session>,
}

impl Connection {
    pub fn new(id: u64, session: Session, peer: Option<SocketAddr>, user_agent: Arc<str>, since: Instant) -> Self {
        let client = session.client().clone();
        Self { id, client, peer, user_agent, since, mailbox: Mailbox::default(), session: Mutex::new(session) }
    }

    /// The logic of the stream. Its task holds this while it works, others only to look.
    pub fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
