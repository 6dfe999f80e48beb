//! How a connection begins and ends.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mio::{Interest, net::TcpStream};

use super::{
    Loop,
    conn::{After, Conn, Role},
    keys::Key,
    timers::Due,
};

/// How long a client may take to hear that its connection is over.
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection that is to end may wait for its peer to take anything of what is left.
const STUCK: Duration = Duration::from_secs(60);

impl Loop {
    /// A connection that has written everything may be at its end.
    pub fn settle(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if !conn.is_drained() || self.is_connecting(key) {
            return self.limit_end(key);
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.after == After::Shut && !conn.is_secured() {
            return;
        }
        match conn.after {
            After::Shut => {
                conn.shut();
                self.tunnel_settled(key);
            }
            After::Close => {
                conn.shut();
                if conn.ended || !matches!(conn.role, Role::Server(_)) {
                    return self.close(key);
                }
                conn.role = Role::Done;
                conn.kept = Vec::new();
                conn.paused = false;
                self.set_deadline(key, LINGER);
                self.enqueue(key);
            }
            After::Reset => {
                conn.reset();
                self.close(key);
            }
            After::Open | After::IsShut => {}
        }
    }

    /// A peer that takes nothing of what it is sent last does not keep its connection for ever.
    pub fn limit_end(&mut self, key: Key) {
        if let Some(conn) = self.conns.get(key)
            && matches!(conn.after, After::Close | After::Reset)
            && conn.deadline.is_none()
        {
            self.set_deadline(key, STUCK);
        }
    }

    /// Closes when all is written.
    pub fn close_when_written(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.after = After::Close;
            self.mark(key);
        }
    }

    /// Ends a connection that is not wanted, so that its client sees that.
    pub fn refuse(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.reset();
        }
        self.close(key);
    }

    /// Takes a connection out. Whoever used it was told before.
    pub fn close(&mut self, key: Key) {
        if let Some(conn) = self.conns.remove(key) {
            self.shared.connections.fetch_sub(1, Relaxed);
            self.forget(key, &conn);
        }
    }

    /// Puts in a connection.
    pub fn open(&mut self, mut stream: TcpStream, peer: std::net::SocketAddr, role: Role) -> Option<Key> {
        let registry = &self.registry;
        let mut registered = Ok(());
        let key = self.conns.insert_with(|key| {
            registered = registry.register(&mut stream, key.token(), Interest::READABLE | Interest::WRITABLE);
            Conn::new(stream, peer, role, self.now)
        });
        self.shared.connections.fetch_add(1, Relaxed);
        if let Err(error) = registered {
            tracing::warn!(%error, "a socket could not be watched");
            // Nobody has counted it yet.
            self.conns.remove(key);
            self.shared.connections.fetch_sub(1, Relaxed);
            return None;
        }
        Some(key)
    }

    pub fn connection_is_due(&mut self, key: Key) {
        let due = |conn: &Conn| conn.deadline.is_some_and(|deadline| deadline <= self.now);
        if !self.conns.get(key).is_some_and(due) {
            return;
        }
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.deadline = None;
        let took = self.now.saturating_duration_since(conn.active) < STUCK;
        match conn.role {
            _ if matches!(conn.after, After::Close | After::Reset) && took => self.set_deadline(key, STUCK),
            _ if matches!(conn.after, After::Close | After::Reset) => self.close(key),
            Role::Inspecting(_) => self.inspection_is_due(key),
            Role::Client(_) => self.connect_is_due(key),
            Role::Tunnel(_) => self.tunnel_is_due(key),
            Role::Server(_) | Role::Done => self.close(key),
        }
    }

    pub fn set_deadline(&mut self, key: Key, after: Duration) {
        let at = self.now + after;
        if let Some(conn) = self.conns.get_mut(key) {
            conn.deadline = Some(at);
            self.timers.add(at, Due::Connection(key));
        }
    }
}
