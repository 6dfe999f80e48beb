use rustls_pki_types::SubjectPublicKeyInfoDer;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::ParsedExtension,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519, Oid,
    },
    prelude::FromDer,
    public_key::PublicKey as ParsedKey,
    x509::SubjectPublicKeyInfo,
};

use crate::certificate::uris;

/// A public key that the mesh certifies: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    spki: SubjectPublicKeyInfoDer<'static>,
}

/// A certification request (PKCS #10, RFC 2986) whose signature proved that the sender holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    public_key: PublicKey,
    uris: Vec<String>,
}

/// A signing request that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More bytes than any request needs.
    #[error("the signing request has {0} bytes: at most {max} are accepted", max = SigningRequest::MAX_BYTES)]
    TooLong(usize),
    /// Not a PKCS #10 request in DER.
    #[error("the signing request cannot be read: PKCS #10 in DER is accepted ({0})")]
    Unreadable(String),
    /// A key of another kind or too weak.
    #[error("the signing request's key is {0}: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits is accepted")]
    Key(String),
    /// The sender does not hold the key, or signs with an algorithm that is not of the key.
    #[error("the signing request's signature is not by its own key")]
    Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Ecdsa,
    Ed25519,
    Rsa,
}

impl PublicKey {
    /// The key as SubjectPublicKeyInfo (RFC 5280, section 4.1), DER.
    pub fn spki(&self) -> &SubjectPublicKeyInfoDer<'static> {
        &self.spki
    }
}

impl SigningRequest {
    /// The longest request that is looked at. One with an RSA key of 8192 bits has about 2 KiB.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Reads a request and verifies its signature.
    pub fn parse(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > Self::MAX_BYTES {
            return Err(RequestError::TooLong(der.len()));
        }
        let unreadable = |error: String| RequestError::Unreadable(error);
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} bytes follow the request", rest.len())));
        }
        let spki = &request.certification_request_info.subject_pki;
        let algorithm = algorithm(spki)?;
        // The verifier takes the algorithm from the signature, the certificate takes it from the key: they must agree.
        if signature_algorithm(&request.signature_algorithm.algorithm) != Some(algorithm) {
            return Err(RequestError::Signature);
        }
        request.verify_signature().map_err(|_| RequestError::Signature)?;
        let public_key = PublicKey { spki: spki.raw.to_vec().into() };
        Ok(Self { public_key, uris: requested_uris(&request)? })
    }

    /// The key to certify.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The URI SANs that the sender asks for, as written. Whether they are the sender's is for the authority to say.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }
}

fn algorithm(spki: &SubjectPublicKeyInfo<'_>) -> Result<Algorithm, RequestError> {
    let refused = |found: String| Err(RequestError::Key(found));
    let oid = &spki.algorithm.algorithm;
    let length = spki.subject_public_key.data.len();
    if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return match curve {
            // Uncompressed points (RFC 5480, section 2.2): all that TLS libraries read.
            Some(curve) if curve == OID_EC_P256 && length == 65 => Ok(Algorithm::Ecdsa),
            Some(curve) if curve == OID_NIST_EC_P384 && length == 97 => Ok(Algorithm::Ecdsa),
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => refused("a compressed point".into()),
            Some(curve) => refused(format!("of the curve {curve}")),
            None => refused("of an unnamed curve".into()),
        };
    }
    if *oid == OID_SIG_ED25519 {
        return if length == 32 { Ok(Algorithm::Ed25519) } else { refused(format!("Ed25519 of {length} bytes")) };
    }
    if *oid == OID_PKCS1_RSAENCRYPTION {
        return match spki.parsed() {
            Ok(ParsedKey::RSA(key)) if (2048..=8192).contains(&key.key_size()) => Ok(Algorithm::Rsa),
            Ok(ParsedKey::RSA(key)) => refused(format!("RSA of {} bits", key.key_size())),
            _ => refused("unreadable RSA".into()),
        };
    }
    refused(format!("of the algorithm {oid}"))
}

fn signature_algorithm(oid: &Oid<'_>) -> Option<Algorithm> {
    let ecdsa = [OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384];
    let rsa = [OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA];
    if ecdsa.contains(oid) {
        Some(Algorithm::Ecdsa)
    } else if rsa.contains(oid) {
        Some(Algorithm::Rsa)
    } else {
        (*oid == OID_SIG_ED25519).then_some(Algorithm::Ed25519)
    }
}

fn requested_uris(request: &X509CertificationRequest<'_>) -> Result<Vec<String>, RequestError> {
    let mut wanted = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(san) => {
                wanted.extend(uris(&san.general_names).into_iter().map(str::to_owned));
            }
            ParsedExtension::ParseError { error } => return Err(RequestError::Unreadable(error.to_string())),
            _ => {}
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
