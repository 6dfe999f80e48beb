//! An issuer that the user brings, as cert-manager writes the Secret of a CA: `tls.crt`, `tls.key`, `ca.crt`.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_identity::{Account, TrustBundle, TrustDomain};
use rcgen::{KeyPair, SanType};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs::default_provider,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use x509_parser::prelude::X509Certificate;

use super::{Issuing, Keys, KeysError, wrong};
use crate::{
    leaf::leaf_params,
    signer::{self, Signer, SignerError, Validity},
};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const ROOTS: &str = "ca.crt";

/// The name of the leaf by which an issuer is tried, and how long that leaf lasts.
const TRIAL: &str = "trial";
const TRIAL_LIFETIME: Duration = Duration::from_secs(60);

impl Keys {
    /// The keys of a user's own issuer, in PEM.
    ///
    /// - `tls_crt`: the issuer, then the certificate that signed it, and so on; the root may be left out. Each of them
    ///   is a CA (`CA:TRUE`, `keyCertSign`). The issuer needs no SPIFFE trust domain; where it has one, that is ours.
    /// - `tls_key`: the issuer's key, in PKCS #8, PKCS #1 or SEC 1: ECDSA P-256 or P-384, or RSA.
    /// - `ca_crt`: the roots, of which one vouches for the issuer.
    pub fn of_issuer(
        trust_domain: &TrustDomain,
        tls_crt: &[u8],
        tls_key: &[u8],
        ca_crt: &[u8],
        now: SystemTime,
    ) -> Result<Self, KeysError> {
        let certificates = certificates(CERTIFICATE, tls_crt)?;
        let roots = certificates_of_roots(ca_crt)?;
        let (chain, validity) = chain(&certificates, &roots, now)?;
        let issuer = &certificates[0];
        signer::parsed(issuer).and_then(|issuer| check_names(&issuer, trust_domain)).map_err(wrong(CERTIFICATE))?;
        let signer = Signer::new(issuer.clone(), key(tls_key).map_err(wrong(KEY))?).map_err(|error| match error {
            SignerError::Mismatch => wrong(KEY)(error),
            error => wrong(CERTIFICATE)(error),
        })?;
        let issuing = Issuing { signer, chain, validity };
        issuing.try_out(trust_domain, &roots, now).map_err(wrong(CERTIFICATE))?;
        let roots = TrustBundle::new(trust_domain.clone(), roots);
        Ok(Self { trust_domain: trust_domain.clone(), roots, issuing: Arc::new(issuing), own: None })
    }
}

impl Issuing {
    /// Signs a leaf and verifies it as peers would: what an issuer may not sign, by its extensions or those of a
    /// certificate above it, is told here and not by handshakes that fail.
    fn try_out(
        &self,
        trust_domain: &TrustDomain,
        roots: &[CertificateDer<'static>],
        now: SystemTime,
    ) -> Result<(), SignerError> {
        let refused = |error: rustls::Error| SignerError::Trial(error.to_string());
        let unusable = |error: rustls::server::VerifierBuilderError| SignerError::Trial(error.to_string());
        let id = Account::new(TRIAL, TRIAL).in_domain(trust_domain);
        let validity = Validity::starting(now, TRIAL_LIFETIME).within(self.validity);
        let names = [SanType::DnsName(TRIAL.try_into()?)];
        let leaf = self.signer.sign(&leaf_params(&id, &names, validity)?, &KeyPair::generate()?)?;
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.clone()).map_err(refused)?;
        }
        let (store, provider) = (Arc::new(store), Arc::new(default_provider()));
        let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        let name = ServerName::try_from(TRIAL).map_err(|error| SignerError::Trial(error.to_string()))?;
        let server = WebPkiServerVerifier::builder_with_provider(Arc::clone(&store), Arc::clone(&provider));
        let server = server.build().map_err(unusable)?;
        server.verify_server_cert(&leaf, &self.chain, &name, &[], time).map_err(refused)?;
        let client = WebPkiClientVerifier::builder_with_provider(store, provider).build().map_err(unusable)?;
        client.verify_client_cert(&leaf, &self.chain, time).map_err(refused)?;
        Ok(())
    }
}

/// The certificates in `text`: one at least.
fn certificates(name: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeysError> {
    let unreadable = |error: String| wrong(name)(SignerError::Certificate(error));
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    if read.is_empty() {
        return Err(unreadable("there is none".to_owned()));
    }
    Ok(read)
}

fn certificates_of_roots(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeysError> {
    let roots = certificates(ROOTS, text)?;
    for (position, root) in roots.iter().enumerate() {
        let place = place(ROOTS, position, roots.len());
        signer::parsed(root).and_then(|root| signer::check_ca(&root)).map_err(wrong(place))?;
    }
    Ok(roots)
}

/// What the chains of leaves carry of `certificates`, and the time within which all of the way to the root holds.
fn chain(
    certificates: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: SystemTime,
) -> Result<(Vec<CertificateDer<'static>>, Validity), KeysError> {
    // Peers hold the roots: what follows the first of them is not for them. An issuer may be a root itself.
    let carried = certificates.iter().take_while(|certificate| !roots.contains(certificate)).count();
    let mut validities = Vec::new();
    for (position, der) in certificates.iter().enumerate().take(carried) {
        let wrong = || wrong(place(CERTIFICATE, position, certificates.len()));
        let certificate = signer::parsed(der).map_err(wrong())?;
        signer::check_ca(&certificate).map_err(wrong())?;
        let validity = Validity::of(&certificate);
        validity.check(now).map_err(wrong())?;
        validities.push(validity);
        if let Some(next) = certificates.get(position + 1)
            && !signer::is_signed_by(&certificate, &signer::parsed(next).map_err(wrong())?)
        {
            return Err(wrong()(SignerError::Order));
        }
    }
    let anchor = match certificates.get(carried) {
        Some(root) => Validity::of(&signer::parsed(root).map_err(wrong(ROOTS))?),
        None => {
            let last = place(CERTIFICATE, carried - 1, certificates.len());
            root_of(&certificates[carried - 1], roots).map_err(wrong(last))?
        }
    };
    anchor.check(now).map_err(wrong(ROOTS))?;
    Ok((certificates[..carried].to_vec(), validities.into_iter().fold(anchor, Validity::within)))
}

/// The time of the root that signed `certificate`: the last to end, where a root was renewed with its key.
fn root_of(certificate: &CertificateDer<'_>, roots: &[CertificateDer<'static>]) -> Result<Validity, SignerError> {
    let certificate = signer::parsed(certificate)?;
    let roots: Result<Vec<_>, _> = roots.iter().map(|root| signer::parsed(root)).collect();
    let signed = roots?.into_iter().filter(|root| signer::is_signed_by(&certificate, root));
    signed.map(|root| Validity::of(&root)).max_by_key(|validity| validity.not_after).ok_or(SignerError::Unrooted)
}

/// Whether leaves can name `issuer` as theirs, and whether it speaks for `trust_domain`, if for any.
fn check_names(issuer: &X509Certificate<'_>, trust_domain: &TrustDomain) -> Result<(), SignerError> {
    let mut kinds = BTreeSet::new();
    for part in issuer.subject().iter() {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else { return Err(SignerError::Subject) };
        if !kinds.insert(attribute.attr_type().to_id_string()) {
            return Err(SignerError::Subject);
        }
    }
    if kinds.is_empty() {
        return Err(SignerError::Subject);
    }
    let found = signer::uris(issuer)?;
    let wanted = signer::uri(trust_domain);
    match found.into_iter().find(|uri| uri.starts_with("spiffe://") && *uri != wanted) {
        Some(found) => Err(SignerError::TrustDomain { found, wanted }),
        None => Ok(()),
    }
}

fn key(text: &[u8]) -> Result<KeyPair, SignerError> {
    let unreadable = |error: String| SignerError::IssuerKey(error);
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|error| unreadable(error.to_string()))?;
    let key = KeyPair::try_from(&der).map_err(|error| unreadable(error.to_string()))?;
    let accepted = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256];
    if !accepted.iter().any(|algorithm| key.is_compatible(algorithm)) {
        return Err(unreadable(format!("it is of {:?}", key.algorithm())));
    }
    Ok(key)
}

/// The certificate at `position` of the `count` in the text `name`.
fn place(name: &str, position: usize, count: usize) -> String {
    if count == 1 { name.to_owned() } else { format!("{name}, certificate {},", position + 1) }
}

#[cfg(test)]
mod tests;
