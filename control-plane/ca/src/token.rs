use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use byrnie_identity::TrustDomain;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use rcgen::{KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};

/// The audience of all tokens that prove a workload to the control plane.
pub const TOKEN_AUDIENCE: &str = "byrnie.io/ca";

/// How long a token holds unless the operator says otherwise.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The only algorithm that is written and read.
const ALGORITHM: Algorithm = Algorithm::ES256;
/// Ours have about 300 bytes.
const MAX_BYTES: usize = 8 * 1024;
/// How far the clocks of two replicas may differ.
const CLOCK_SKEW: u64 = 60;

/// Mints and verifies the join tokens of one trust domain: JWTs (RFC 7519) signed with ES256.
///
/// `iss` is the trust domain, `sub` is `NAMESPACE/POD`, `aud` is [`TOKEN_AUDIENCE`].
pub struct TokenKey {
    trust_domain: TrustDomain,
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// The workload that a token speaks for: `NAMESPACE/POD`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    namespace: String,
    pod: String,
}

/// A minted token. It prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken(String);

/// A token that proves nothing, or a wish that cannot be minted. No variant holds the token or its signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Another kind of text, or a JWT with an unknown algorithm (`none` among them).
    #[error("not a join token: a JWT, three base64url parts between dots, as `byrnie token` prints it, is accepted")]
    NotAToken,
    /// More bytes than any token has.
    #[error("not a join token: it has {0} bytes, at most {MAX_BYTES} are accepted")]
    TooLong(usize),
    /// An algorithm that is not ours.
    #[error("the token is not signed with {ALGORITHM:?}, the only algorithm that is accepted")]
    Algorithm,
    /// There is no key that could have signed it.
    #[error("join tokens are not accepted: the issuer is the user's own, and there is no key for them")]
    NoKey,
    /// A signature by a key that is not ours.
    #[error(
        "the token is signed by another key: make one with `byrnie token` and the --state directory of this control \
         plane"
    )]
    Signature,
    /// Signed by our key, but not by this version's rules.
    #[error("the token's claims cannot be read: iss, sub, aud, iat and exp are needed")]
    Claims,
    /// A token for another service.
    #[error("the token is for the audience {found:?}, not for {TOKEN_AUDIENCE:?}")]
    Audience {
        /// Its `aud`.
        found: String,
    },
    /// A token of another mesh.
    #[error("the token is of the trust domain {found:?}, not of {wanted:?}")]
    Issuer {
        /// Its `iss`.
        found: String,
        /// The trust domain of this key.
        wanted: String,
    },
    /// Its time is over.
    #[error("the token expired {} ago: make a new one with `byrnie token`", rough(*ago))]
    Expired {
        /// For how long.
        ago: Duration,
    },
    /// Its time has not come.
    #[error("the token was issued {} in the future: the clocks differ", rough(*by))]
    NotYet {
        /// By how much.
        by: Duration,
    },
    /// A name that is no workload's.
    #[error("{0:?} is no workload: NAMESPACE/POD is accepted")]
    Subject(String),
    /// A lifetime that cannot be written.
    #[error("a token cannot last {} s: 1 s to 10 years is accepted", .0.as_secs())]
    Lifetime(Duration),
    /// The cryptographic library refused to sign.
    #[error("the token cannot be signed")]
    Signing,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
}

impl TokenKey {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// The key in `text` (PEM, PKCS #8, ECDSA P-256).
    pub(crate) fn from_pem(trust_domain: TrustDomain, text: &str) -> Result<Self, String> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(text, &rcgen::PKCS_ECDSA_P256_SHA256);
        let key = key.map_err(|error| format!("ECDSA P-256 is needed: {error}"))?;
        Ok(Self {
            trust_domain,
            signing: EncodingKey::from_ec_der(key.serialized_der()),
            verifying: DecodingKey::from_ec_der(key.der_bytes()),
        })
    }

    /// A token with which `workload` may join, from `now` for `lifetime`.
    pub fn mint(&self, workload: &Subject, lifetime: Duration, now: SystemTime) -> Result<JoinToken, TokenError> {
        if !(Duration::from_secs(1)..=Self::LONGEST).contains(&lifetime) {
            return Err(TokenError::Lifetime(lifetime));
        }
        let iat = unix(now);
        let claims = Claims {
            iss: self.trust_domain.to_string(),
            sub: workload.to_string(),
            aud: TOKEN_AUDIENCE.to_owned(),
            iat,
            exp: iat + lifetime.as_secs(),
        };
        let token = jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &self.signing);
        token.map(JoinToken).map_err(|_| TokenError::Signing)
    }

    /// The workload that `token` speaks for at `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Subject, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::TooLong(token.len()));
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.verifying, &signature_only());
        let claims = decoded.map_err(|error| refused(error.kind(), token))?.claims;
        self.check(&claims, unix(now))?;
        claims.sub.parse()
    }

    fn check(&self, claims: &Claims, now: u64) -> Result<(), TokenError> {
        if claims.aud != TOKEN_AUDIENCE {
            return Err(TokenError::Audience { found: claims.aud.clone() });
        }
        if claims.iss != self.trust_domain.as_str() {
            let wanted = self.trust_domain.to_string();
            return Err(TokenError::Issuer { found: claims.iss.clone(), wanted });
        }
        if now >= claims.exp {
            return Err(TokenError::Expired { ago: Duration::from_secs(now - claims.exp) });
        }
        let by = claims.iat.saturating_sub(now);
        if by > CLOCK_SKEW {
            return Err(TokenError::NotYet { by: Duration::from_secs(by) });
        }
        Ok(())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl Subject {
    /// The namespace of the workload.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of its Pod.
    pub fn pod(&self) -> &str {
        &self.pod
    }
}

impl FromStr for Subject {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        match text.split_once('/') {
            Some((namespace, pod)) if is_name(namespace, 63) && is_name(pod, 253) => {
                Ok(Self { namespace: namespace.to_owned(), pod: pod.to_owned() })
            }
            _ => Err(TokenError::Subject(text.to_owned())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.pod)
    }
}

impl JoinToken {
    /// The token, to hand to the workload.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The library pins the algorithm and verifies the signature; the claims are checked here, by an injected clock and
/// with messages that say how far off they are.
fn signature_only() -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// What the library's refusal means. Its texts may quote the token: they go no further.
fn refused(kind: &ErrorKind, token: &str) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        // The header was read before the claims, so a fault of JSON is in the claims if the header reads well. An `alg`
        // that the library does not know, `none` among them, is a header that does not.
        ErrorKind::Json(_) if jsonwebtoken::decode_header(token).is_ok() => TokenError::Claims,
        _ => TokenError::NotAToken,
    }
}

/// A Kubernetes name: lower-case letters, digits, `-` and `.`, the ends alphanumeric (RFC 1123).
fn is_name(text: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= longest && end(bytes.first()) && end(bytes.last()) && bytes.iter().copied().all(inner)
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A duration in its largest whole unit.
fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
