//! How many connections each peer may have, so that one of them cannot take the places of all.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The connections that are open, by the address that they come from; those of one address share a `T`.
#[derive(Debug)]
pub struct Peers<T = ()> {
    most: usize,
    open: Mutex<HashMap<IpAddr, Peer<T>>>,
}

#[derive(Debug)]
struct Peer<T> {
    connections: usize,
    shared: T,
}

/// The place of one connection; it is free again once this is dropped.
#[derive(Debug)]
pub struct Place<T = ()> {
    peers: Arc<Peers<T>>,
    address: IpAddr,
    shared: T,
}

impl<T: Clone> Peers<T> {
    /// Lets each peer have at most so many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for one more of the peer; none where it has all that it may have. `first` makes what its connections share.
    pub fn enter(self: &Arc<Self>, address: IpAddr, first: impl FnOnce() -> T) -> Option<Place<T>> {
        let address = address.to_canonical();
        let mut open = self.open();
        let peer = open.entry(address).or_insert_with(|| Peer { connections: 0, shared: first() });
        if peer.connections >= self.most {
            return None;
        }
        peer.connections += 1;
        Some(Place { peers: Arc::clone(self), address, shared: peer.shared.clone() })
    }
}

impl<T> Peers<T> {
    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Place<T> {
    /// What all connections of the peer share.
    pub fn shared(&self) -> &T {
        &self.shared
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut peer) = self.peers.open().entry(self.address) {
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
    fn a_peer_with_all_its_places_gets_none_until_one_is_free_and_others_do() {
        let peers = Peers::new(2);
        let enter = |ip: &str| peers.enter(ip.parse().unwrap(), || Arc::new(()));
        let held = [enter("10.0.0.1").unwrap(), enter("::ffff:10.0.0.1").unwrap()];
        assert!(Arc::ptr_eq(held[0].shared(), held[1].shared()));
        assert!(enter("10.0.0.1").is_none() && enter("10.0.0.2").is_some());
        drop(held);
        assert!(enter("10.0.0.1").is_some());
        assert!(peers.open().is_empty(), "who goes is forgotten");
    }
}
