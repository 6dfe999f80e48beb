use std::{fmt, str::FromStr, sync::Arc};

/// The name under which one root of trust issues identities (SPIFFE-ID, section 2.1).
///
/// Lower-case letters, digits, `.`, `-` and `_`; 1 to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

/// A ServiceAccount: the unit of identity in the mesh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    account: Account,
}

/// A text that does not name an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A trust domain with a character or a length that SPIFFE forbids.
    #[error("{0:?} is no trust domain: 1 to 255 of a-z, 0-9, '.', '-' and '_' are accepted")]
    TrustDomain(String),
    /// An account that is not `NAMESPACE/NAME`.
    #[error("{0:?} is no account: NAMESPACE/SERVICE-ACCOUNT is accepted")]
    Account(String),
    /// A URI that is not an identity of this mesh's shape.
    #[error("{0:?} is no workload identity: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT is accepted")]
    SpiffeId(String),
}

impl TrustDomain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    /// `cluster.local`, as Kubernetes users expect.
    fn default() -> Self {
        Self("cluster.local".into())
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > 255 || !text.bytes().all(fits) {
            return Err(IdentityError::TrustDomain(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Account {
    /// The account `name` in `namespace`. Both are Kubernetes names: the caller parsed them at the edge.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The namespace of the account.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The account's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This account's identity in `trust_domain`.
    pub fn in_domain(&self, trust_domain: &TrustDomain) -> SpiffeId {
        SpiffeId { trust_domain: trust_domain.clone(), account: self.clone() }
    }
}

impl FromStr for Account {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        match text.split_once('/') {
            Some((namespace, name)) if is_segment(namespace) && is_segment(name) => Ok(Self::new(namespace, name)),
            _ => Err(IdentityError::Account(text.to_owned())),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl SpiffeId {
    /// The trust domain that vouches for the identity.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The account that the identity names.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError::SpiffeId(text.to_owned());
        let (domain, path) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let trust_domain = domain.parse().map_err(|_| wrong())?;
        match path.split('/').collect::<Vec<_>>()[..] {
            ["ns", namespace, "sa", name] if is_segment(namespace) && is_segment(name) => {
                Ok(Self { trust_domain, account: Account::new(namespace, name) })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { namespace, name } = &self.account;
        write!(f, "spiffe://{}/ns/{namespace}/sa/{name}", self.trust_domain)
    }
}

/// A path segment that SPIFFE and Kubernetes both accept.
fn is_segment(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_text_and_back() {
        let id = Account::new("shop", "cart").in_domain(&TrustDomain::default());
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_an_identity_is_refused_with_what_is_accepted() {
        for text in [
            "",
            "spiffe://",
            "spiffe://D/ns/a/sa/b",
            "spiffe://d/ns/a/sa/",
            "spiffe://d/ns/a/sa/b/c",
            "http://d/ns/a/sa/b",
            "spiffe://d/ns/../sa/b",
        ] {
            let error = text.parse::<SpiffeId>().expect_err(text).to_string();
            assert!(error.contains("spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"), "{error}");
        }
        assert!("Cluster.Local".parse::<TrustDomain>().is_err());
        assert!("shop".parse::<Account>().is_err());
    }
}
