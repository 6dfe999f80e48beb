//! Who is connected: no address has all connections and all room, so that what one of them holds up is its own.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::body::Room;

/// Of one address at once. An API server keeps one or a few; several may come by the address of one gateway.
pub const CONNECTIONS: usize = 32;

/// All peers that are connected, by address.
#[derive(Debug, Default)]
pub struct Peers {
    room: Room,
    connected: Mutex<HashMap<IpAddr, Peer>>,
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    room: Room,
}

/// A connection of a peer, counted until it is dropped.
#[derive(Debug)]
pub struct Guest {
    peers: Arc<Peers>,
    address: IpAddr,
    room: Room,
}

impl Peers {
    /// Counts a connection from `address`; none where it has as many as it may.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let address = address.to_canonical();
        let mut connected = self.connected();
        let peer = connected.entry(address).or_insert_with(|| Peer { connections: 0, room: self.room.of_another() });
        if peer.connections == CONNECTIONS {
            return None;
        }
        peer.connections += 1;
        Some(Guest { peers: Arc::clone(self), address, room: peer.room.clone() })
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Where its bodies are kept.
    pub fn room(&self) -> &Room {
        &self.room
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Entry::Occupied(mut peer) = self.peers.connected().entry(self.address) {
            peer.get_mut().connections -= 1;
            if peer.get().connections == 0 {
                peer.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bound_of_its_own_and_is_forgotten_when_it_goes() {
        let peers = Arc::new(Peers::default());
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let mut guests: Vec<_> = (0..CONNECTIONS).map(|_| admit("10.0.0.1").unwrap()).collect();
        assert!(admit("10.0.0.1").is_none() && admit("::ffff:10.0.0.1").is_none());
        assert!(admit("10.0.0.2").is_some());
        guests.pop();
        guests.push(admit("::ffff:10.0.0.1").unwrap());
        assert!(admit("10.0.0.1").is_none());
        drop(guests);
        assert!(peers.connected().is_empty());
    }
}
