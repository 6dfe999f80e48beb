//! Octets from socket to socket inside the kernel, where both ends are plain text and there are many (splice(2)).

use super::{
    Loop,
    conn::Role,
    keys::Key,
    pipe::{Moved, Pipe},
};

/// So many octets have passed by copying before it pays to set up a pipe.
const MANY: u64 = 256 << 10;

impl Loop {
    /// Whether octets from one end to the other are moved by the kernel from now on.
    pub fn is_spliced(&self, key: Key, other: Key) -> bool {
        let (Some(from), Some(to)) = (self.conns.get(key), self.conns.get(other)) else { return false };
        let (Role::Tunnel(source), Role::Tunnel(target)) = (&from.role, &to.role) else { return false };
        let plain = from.session.is_none() && to.session.is_none() && !target.is_connecting();
        plain && source.passed >= MANY && from.kept.is_empty() && target.output().is_empty() && to.is_flushed()
    }

    /// Moves what one end has to the other.
    pub fn splice(&mut self, key: Key, other: Key) {
        let Some(mut pipe) = self.take_pipe(key) else { return };
        let (Some(from), Some(to)) = (self.conns.get(key), self.conns.get(other)) else { return };
        let mut octets = 0;
        let moved = pipe.carry(&from.stream, &to.stream, &mut octets);
        match pipe.filled {
            0 if self.pipes.len() < 16 => self.pipes.push(pipe),
            0 => {}
            _ => {
                if let Some(Role::Tunnel(tunnel)) = self.conns.get_mut(key).map(|conn| &mut conn.role) {
                    tunnel.pipe = Some(pipe);
                }
            }
        }
        self.count_octets(key, other, octets);
        let Some(conn) = self.conns.get_mut(key) else { return };
        match moved {
            Ok(Moved::Dry) => conn.readable = false,
            Ok(Moved::More) => self.enqueue(key),
            Ok(Moved::Full) => {
                conn.paused = true;
                if let Some(target) = self.conns.get_mut(other) {
                    target.writable = false;
                }
            }
            Ok(Moved::Ended) => self.tunnel_end_ended(key, other),
            Err((error, is_target)) => self.broken(if is_target { other } else { key }, &error.into()),
        }
    }

    /// The pipe with what is in it, or an empty one. Without one, octets go on being copied.
    fn take_pipe(&mut self, key: Key) -> Option<Pipe> {
        let Some(Role::Tunnel(tunnel)) = self.conns.get_mut(key).map(|conn| &mut conn.role) else { return None };
        if let Some(pipe) = tunnel.pipe.take().or_else(|| self.pipes.pop()) {
            return Some(pipe);
        }
        match Pipe::new() {
            Ok(pipe) => Some(pipe),
            Err(error) => {
                tracing::debug!(%error, "no pipe");
                tunnel.passed = 0;
                self.enqueue(key);
                None
            }
        }
    }
}
