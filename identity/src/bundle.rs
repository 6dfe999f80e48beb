use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::{TrustDomain, certificates_pem};

/// The roots that vouch for one trust domain. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    roots: Arc<[CertificateDer<'static>]>,
}

impl TrustBundle {
    /// The bundle of `trust_domain`.
    pub fn new(trust_domain: TrustDomain, roots: impl Into<Arc<[CertificateDer<'static>]>>) -> Self {
        Self { trust_domain, roots: roots.into() }
    }

    /// Whose roots these are.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The roots, DER.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The roots as one PEM text, as `trusted_ca` of an SDS validation context wants it.
    pub fn pem(&self) -> String {
        certificates_pem(&self.roots)
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_bundle_in_pem_reads_back_as_the_same_roots() {
        let roots = [vec![1; 100], vec![2; 7]].map(CertificateDer::from).to_vec();
        let bundle = TrustBundle::new(TrustDomain::default(), roots.clone());
        let read: Vec<_> = CertificateDer::pem_slice_iter(bundle.pem().as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, roots);
    }
}
