use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use byrnie_identity::{IdentityError, TrustBundle, TrustDomain};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;

use crate::{
    signer::{Signer, SignerError, Validity},
    token::TokenKey,
};

mod given;

pub(crate) const TRUST_DOMAIN: &str = "trust-domain";
pub(crate) const ROOT_CERTIFICATE: &str = "root.crt";
pub(crate) const ROOT_KEY: &str = "root.key";
/// Key and certificate in one text, so that a renewal changes one.
pub(crate) const ISSUER: &str = "issuer.pem";
pub(crate) const TOKEN_KEY: &str = "token.key";

/// The key material of one trust domain, wherever it is kept. Cheap to clone.
///
/// Ours, made here, is five named texts, which are the files of a directory ([`State`](crate::State)) or the keys of a
/// Secret:
///
/// ```text
/// trust-domain   whose keys these are
/// root.crt       root.key      the root, 10 years
/// issuer.pem     the issuer's key and certificate, 1 year, renewed at two thirds
/// token.key      signs join tokens
/// ```
///
/// Where the user brings an issuer ([`Keys::of_issuer`]) there is no key of the root and none for join tokens, and
/// whoever made the issuer renews it.
#[derive(Clone)]
pub struct Keys {
    trust_domain: TrustDomain,
    roots: TrustBundle,
    issuing: Arc<Issuing>,
    own: Option<Arc<Own>>,
}

/// Who signs leaves.
pub(crate) struct Issuing {
    pub(crate) signer: Signer,
    /// What peers need beside a leaf and the roots: the issuer, then what leads from it to a root.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Within which all of the way from the issuer to its root holds.
    pub(crate) validity: Validity,
}

/// What lies under an issuer that was made here.
struct Own {
    root: Signer,
    tokens: Arc<TokenKey>,
    /// What `tokens` were read from.
    token_key: Vec<u8>,
}

/// Key material that cannot be used. The texts are named as they are kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A text that is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The name of the trust domain cannot be read.
    #[error("trust-domain: {0}")]
    Marker(IdentityError),
    /// The keys of another mesh.
    #[error("the keys are of the trust domain {found}, not of {wanted}")]
    TrustDomain {
        /// Whose keys they are.
        found: TrustDomain,
        /// Whose keys are wanted.
        wanted: TrustDomain,
    },
    /// A root, issuer or token key that cannot be used.
    #[error("{text} {error}")]
    Signer {
        /// Which text, and where it holds several certificates, which of them.
        text: String,
        /// What is wrong with it.
        error: SignerError,
    },
}

impl Keys {
    /// New keys for `trust_domain`: a root, an issuer, and a key for join tokens.
    pub fn make(trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, KeysError> {
        let root = Signer::root(trust_domain, now).map_err(wrong(ROOT_KEY))?;
        let issuer = root.intermediate(trust_domain, now).map_err(wrong(ISSUER))?;
        let text = KeyPair::generate().map_err(|error| wrong(TOKEN_KEY)(error.into()))?.serialize_pem().into_bytes();
        let tokens = Arc::new(token_key(trust_domain, &text)?);
        Ok(Self::own(trust_domain.clone(), issuer, Own { root, tokens, token_key: text }))
    }

    /// Reads what [`texts`](Self::texts) wrote for `trust_domain` and checks that all of it belongs together. An issuer
    /// whose time is over is no fault: [`renewed`](Self::renewed) makes another.
    pub fn from_texts(
        texts: &BTreeMap<String, Vec<u8>>,
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Self, KeysError> {
        let text = |name: &'static str| texts.get(name).map(Vec::as_slice).ok_or(KeysError::Missing(name));
        let found = marker(text(TRUST_DOMAIN)?)?;
        if found != *trust_domain {
            return Err(KeysError::TrustDomain { found, wanted: trust_domain.clone() });
        }
        let root = root(text(ROOT_CERTIFICATE)?, text(ROOT_KEY)?, trust_domain, now)?;
        let issuer = text(ISSUER)?;
        let issuer = Signer::from_pem(issuer, issuer).map_err(wrong(ISSUER))?;
        match issuer.check(&root, trust_domain, now) {
            Ok(()) | Err(SignerError::Expired(_)) => {}
            Err(error) => return Err(wrong(ISSUER)(error)),
        }
        let tokens = text(TOKEN_KEY)?;
        let own = Own { root, tokens: Arc::new(token_key(trust_domain, tokens)?), token_key: tokens.to_vec() };
        Ok(Self::own(found, issuer, own))
    }

    /// What is to be kept, by name; nothing of an issuer that the user brought.
    pub fn texts(&self) -> BTreeMap<String, Vec<u8>> {
        let Some(own) = &self.own else { return BTreeMap::new() };
        let issuer = &self.issuing.signer;
        let texts = [
            (TRUST_DOMAIN, format!("{}\n", self.trust_domain).into_bytes()),
            (ROOT_CERTIFICATE, own.root.certificate_pem().into_bytes()),
            (ROOT_KEY, own.root.key_pem().into_bytes()),
            (ISSUER, (issuer.key_pem() + &issuer.certificate_pem()).into_bytes()),
            (TOKEN_KEY, own.token_key.clone()),
        ];
        texts.map(|(name, text)| (name.to_owned(), text)).into()
    }

    /// The trust domain that the keys speak for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What peers need to verify the leaves.
    pub fn roots(&self) -> &TrustBundle {
        &self.roots
    }

    /// Mints and verifies join tokens; none with an issuer that the user brought.
    pub fn tokens(&self) -> Option<&Arc<TokenKey>> {
        self.own.as_ref().map(|own| &own.tokens)
    }

    /// When no more leaves can be issued with these keys.
    pub fn not_after(&self) -> SystemTime {
        self.issuing.validity.not_after
    }

    /// When the issuer is due to be renewed: at two thirds of its life. `None` where a new one would last no longer,
    /// and where it is for others to renew it.
    pub fn renew_at(&self) -> Option<SystemTime> {
        let (own, validity) = (self.own.as_ref()?, self.issuing.validity);
        (validity.not_after < own.root.validity().not_after).then(|| validity.two_thirds())
    }

    /// These keys with a new issuer of the same root, where it is [due](Self::renew_at).
    pub fn renewed(&self, now: SystemTime) -> Result<Option<Self>, KeysError> {
        let (Some(own), Some(due)) = (&self.own, self.renew_at()) else { return Ok(None) };
        if now < due {
            return Ok(None);
        }
        let issuer = own.root.intermediate(&self.trust_domain, now).map_err(wrong(ISSUER))?;
        Ok(Some(Self { issuing: Arc::new(Issuing::under_root(issuer)), ..self.clone() }))
    }

    pub(crate) fn issuing(&self) -> &Issuing {
        &self.issuing
    }

    fn own(trust_domain: TrustDomain, issuer: Signer, own: Own) -> Self {
        let roots = TrustBundle::new(trust_domain.clone(), vec![own.root.certificate().clone()]);
        Self { trust_domain, roots, issuing: Arc::new(Issuing::under_root(issuer)), own: Some(Arc::new(own)) }
    }
}

impl Issuing {
    /// An issuer that a root signed, within whose life it lies.
    fn under_root(signer: Signer) -> Self {
        Self { chain: vec![signer.certificate().clone()], validity: signer.validity(), signer }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("trust_domain", &self.trust_domain)
            .field("issuer", &self.issuing.signer)
            .finish_non_exhaustive()
    }
}

/// The trust domain that a state says it is of.
pub(crate) fn marker(text: &[u8]) -> Result<TrustDomain, KeysError> {
    String::from_utf8_lossy(text).trim().parse().map_err(KeysError::Marker)
}

/// The key that signs join tokens.
pub(crate) fn token_key(trust_domain: &TrustDomain, text: &[u8]) -> Result<TokenKey, KeysError> {
    let key = TokenKey::from_pem(trust_domain.clone(), &String::from_utf8_lossy(text)).map_err(SignerError::Key);
    key.map_err(wrong(TOKEN_KEY))
}

fn root(certificate: &[u8], key: &[u8], trust_domain: &TrustDomain, now: SystemTime) -> Result<Signer, KeysError> {
    let root = Signer::from_pem(certificate, key).map_err(|error| match error {
        SignerError::Key(_) | SignerError::Mismatch => wrong(ROOT_KEY)(error),
        _ => wrong(ROOT_CERTIFICATE)(error),
    })?;
    root.check(&root, trust_domain, now).map_err(wrong(ROOT_CERTIFICATE))?;
    Ok(root)
}

fn wrong(text: impl Into<String>) -> impl FnOnce(SignerError) -> KeysError {
    move |error| KeysError::Signer { text: text.into(), error }
}

#[cfg(test)]
mod tests;
