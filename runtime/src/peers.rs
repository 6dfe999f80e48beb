//! How many connections each peer may have, so that one of them cannot take the places of all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The connections that are open, by the address that they come from.
#[derive(Clone, Debug)]
pub struct Peers {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of one connection; it is free again once this is dropped.
#[derive(Debug)]
pub struct Place {
    peer: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Peers {
    /// Lets each peer have at most so many.
    pub fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// A place for one more of the peer; none where it has all that it may have.
    pub fn enter(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { peer, open: Arc::clone(&self.open) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
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
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let held = [peers.enter(one).unwrap(), peers.enter("::ffff:10.0.0.1".parse().unwrap()).unwrap()];
        assert!(peers.enter(one).is_none() && peers.enter(other).is_some());
        drop(held);
        assert!(peers.enter(one).is_some());
        assert!(peers.open.lock().unwrap().is_empty());
    }
}
