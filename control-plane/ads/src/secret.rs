//! Secrets as xDS carries them: a certificate with its key, and the roots.

use std::{fmt, sync::Arc, time::SystemTime};

use byrnie_identity::{Account, TrustBundle};
use byrnie_model::WorkloadName;
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::core::v3::{DataSource, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate, secret},
    },
};
use byrnie_snapshot::{
    Resource,
    names::{TRUST_SECRET, WORKLOAD_SECRET},
};

/// Who makes secrets: the certificate authority.
pub trait Secrets: Send + Sync + 'static {
    /// A new certificate with its key for this account, which `workload` was admitted with. It goes to one stream and is
    /// kept nowhere else. Streams live long: whether the workload is still there, and still of that account, is asked
    /// here again.
    ///
    /// # Errors
    /// The text goes to the logs and to the client; it is tried again later.
    fn leaf(&self, workload: &WorkloadName, account: &Account) -> Result<LeafSecret, String>;

    /// The roots that peers are checked against.
    fn trust(&self) -> TrustBundle;
}

/// A certificate with its key.
pub struct LeafSecret {
    /// The leaf, then its issuers, PEM.
    pub chain_pem: String,
    /// The key in PKCS #8, PEM.
    pub key_pem: String,
    /// When the next one is to be made.
    pub renew_at: SystemTime,
}

impl fmt::Debug for LeafSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafSecret")
            .field("chain_pem", &self.chain_pem)
            .field("key_pem", &"[redacted]")
            .field("renew_at", &self.renew_at)
            .finish()
    }
}

impl LeafSecret {
    /// The SDS resource `workload`.
    pub(crate) fn resource(&self) -> Arc<Resource> {
        let certificate = TlsCertificate {
            certificate_chain: Some(inline(&self.chain_pem)),
            private_key: Some(inline(&self.key_pem)),
            ..TlsCertificate::default()
        };
        resource(WORKLOAD_SECRET, secret::Type::TlsCertificate(certificate))
    }
}

/// The SDS resource `trust`. Whom a peer may be is said by those who use it (`combined_validation_context`).
pub(crate) fn trust(bundle: &TrustBundle) -> Arc<Resource> {
    let context = CertificateValidationContext {
        trusted_ca: Some(inline(&bundle.pem())),
        ..CertificateValidationContext::default()
    };
    resource(TRUST_SECRET, secret::Type::ValidationContext(context))
}

fn resource(name: &str, content: secret::Type) -> Arc<Resource> {
    let secret = Secret { name: name.to_owned(), r#type: Some(content) };
    Arc::new(Resource::new(Kind::Secret, name, &secret))
}

fn inline(pem: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(pem.as_bytes().to_vec())), ..DataSource::default() }
}
