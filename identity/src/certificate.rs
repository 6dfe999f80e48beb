use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{IdentityError, SpiffeId};

/// A certificate that names no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not an X.509 certificate in DER.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// No URI SAN, or more than one.
    #[error("the certificate has {0} URI SANs: exactly one, the workload's identity, is accepted")]
    UriSans(usize),
    /// A URI SAN that is no identity of this mesh's shape.
    #[error("the certificate's URI SAN: {0}")]
    Identity(#[from] IdentityError),
}

/// The identity that `der` proves, once its chain was verified: this looks at the name only.
///
/// SPIFFE X509-SVID, section 2: a certificate holds exactly one URI SAN.
pub fn peer_identity(der: &[u8]) -> Result<SpiffeId, CertificateError> {
    match &certificate_uris(der)?[..] {
        [uri] => Ok(uri.parse()?),
        uris => Err(CertificateError::UriSans(uris.len())),
    }
}

/// All URI SANs of the certificate `der`, as written.
pub fn certificate_uris(der: &[u8]) -> Result<Vec<String>, CertificateError> {
    let certificate = parsed(der)?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|error| CertificateError::Unreadable(error.to_string()))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Ok(uris(names).into_iter().map(str::to_owned).collect())
}

/// When the certificate `der` ends.
pub fn certificate_end(der: &[u8]) -> Result<SystemTime, CertificateError> {
    let end = parsed(der)?.validity().not_after.timestamp();
    Ok(UNIX_EPOCH + Duration::from_secs(end.try_into().unwrap_or_default()))
}

/// `chain` as one PEM text, in its order.
pub fn certificates_pem(chain: &[CertificateDer<'_>]) -> String {
    let blocks: Vec<_> = chain.iter().map(|der| pem::Pem::new("CERTIFICATE", der.as_ref())).collect();
    pem::encode_many_config(&blocks, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    let read = X509Certificate::from_der(der);
    read.map(|(_, certificate)| certificate).map_err(|error| CertificateError::Unreadable(error.to_string()))
}

/// The URIs among `names`.
pub(crate) fn uris<'a>(names: &[GeneralName<'a>]) -> Vec<&'a str> {
    let uri = |name: &GeneralName<'a>| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["cart.shop".to_owned()]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_identity_is_the_one_uri_san() {
        let id = "spiffe://cluster.local/ns/shop/sa/cart";
        assert_eq!(peer_identity(&certificate(&[id])), Ok(id.parse().unwrap()));
        assert_eq!(peer_identity(&certificate(&[])), Err(CertificateError::UriSans(0)));
        assert_eq!(peer_identity(&certificate(&[id, id])), Err(CertificateError::UriSans(2)));
        assert!(matches!(peer_identity(&certificate(&["spiffe://d/x"])), Err(CertificateError::Identity(_))));
        assert!(matches!(peer_identity(b"hello"), Err(CertificateError::Unreadable(_))));
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let mut params = CertificateParams::default();
        let end = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        params.not_after = end.into();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(certificate_end(certificate.der()), Ok(end));
        assert!(certificate_end(b"hello").is_err());
    }
}
