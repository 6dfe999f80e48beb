//! Chains of certificates that were proven already: a peer connects again and again with the same one, whose signatures
//! were a quarter of what a new connection cost a pair of proxies (`docs/performance.md`).
//!
//! What is remembered belongs to one context, so to one set of roots and one use of the certificate, and goes with it. The
//! key is a digest of every octet of the chain; of what proving depends on only time goes on, and it is asked each time.
//! That the peer holds the key of the certificate, and what name it has, is no matter of the chain and never remembered.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use foldhash::fast::RandomState;
use rustls::{Error, crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::identity::validity;

/// Chains that are remembered, 72 octets each. One too many, and all are proven anew.
const MOST: usize = 1024;

/// The chains of one context.
#[derive(Debug, Default)]
pub(super) struct Proven(Mutex<HashMap<[u8; 32], RangeInclusive<SystemTime>, RandomState>>);

impl Proven {
    /// Proves a chain by `prove`, unless it was proven before and all of it is valid `now`.
    pub fn check(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
        prove: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let chain = digest(leaf, issuers);
        let is_known = |valid: &RangeInclusive<SystemTime>| valid.contains(&now);
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&chain).is_some_and(is_known) {
            return Ok(());
        }
        prove()?;
        if let Some(valid) = valid_together(leaf, issuers) {
            let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if chains.len() >= MOST {
                chains.clear();
            }
            chains.insert(chain, valid);
        }
        Ok(())
    }
}

/// Of the certificates and where each ends.
fn digest(leaf: &CertificateDer<'_>, issuers: &[CertificateDer<'_>]) -> [u8; 32] {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("a suite of TLS 1.3");
    let mut hash = suite.common.hash_provider.start();
    for certificate in [leaf].into_iter().chain(issuers) {
        hash.update(&certificate.len().to_be_bytes());
        hash.update(certificate);
    }
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 octets")
}

/// When all of a chain is valid; nothing where one of it cannot be read, or it never is.
fn valid_together(leaf: &CertificateDer<'_>, issuers: &[CertificateDer<'_>]) -> Option<RangeInclusive<SystemTime>> {
    let each = [leaf].into_iter().chain(issuers).map(|certificate| validity(certificate).ok());
    let each = each.collect::<Option<Vec<_>>>()?;
    let (from, until) = (each.iter().map(|(from, _)| *from).max()?, each.iter().map(|(_, until)| *until).min()?);
    (from <= until).then_some(from..=until)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::identity::testing::{Authority, CART, FRONT};

    const HOUR: u64 = 3600;

    fn chain(authority: &Authority, uri: &str) -> Vec<CertificateDer<'static>> {
        // It ends a minute before the hour is over.
        authority.sign(&[uri], &rcgen::KeyPair::generate().unwrap(), Duration::from_secs(HOUR))
    }

    #[test]
    fn a_chain_is_proven_once_while_it_is_valid() {
        let (proven, asked) = (Proven::default(), Cell::new(0));
        let check = |chain: &[CertificateDer<'_>], later: u64| {
            let prove = || {
                asked.set(asked.get() + 1);
                Ok(())
            };
            let now = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + later));
            proven.check(&chain[0], &chain[1..], now, prove).unwrap();
            asked.get()
        };
        let authority = Authority::new();
        let cart = chain(&authority, CART);
        assert_eq!([check(&cart, 0), check(&cart, 0), check(&cart, HOUR - 120)], [1, 1, 1]);
        assert_eq!(check(&cart, HOUR), 2, "it has ended");
        assert_eq!(check(&chain(&authority, FRONT), 0), 3, "another certificate");
        let mut longer = cart.clone();
        longer.push(cart[0].clone());
        assert_eq!(check(&longer, 0), 4, "other issuers");
        assert_eq!(check(&cart, 0), 4);
    }

    #[test]
    fn what_was_not_proven_is_not_remembered() {
        let (proven, cart) = (Proven::default(), chain(&Authority::new(), CART));
        let refuse = || Err(Error::General("refused".to_owned()));
        for _ in 0..2 {
            proven.check(&cart[0], &cart[1..], UnixTime::now(), refuse).unwrap_err();
        }
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let (proven, cart) = (Proven::default(), chain(&Authority::new(), CART));
        let check = |issuers: &[CertificateDer<'_>]| proven.check(&cart[0], issuers, UnixTime::now(), || Ok(()));
        let remembered = || proven.0.lock().unwrap().len();
        for _ in 0..MOST {
            let other = chain(&Authority::new(), CART);
            check(&other).unwrap();
        }
        assert_eq!(remembered(), MOST);
        check(&cart[1..]).unwrap();
        assert_eq!(remembered(), 1);
    }
}
