//! The certificate of the webhook's port: that of this workload, whichever is in force when a connection comes.

use std::{fmt, sync::Arc};

use byrnie_keeper::Current;
use byrnie_runtime::metrics::{Collector, ConstGauge, DescriptorEncoder, EncodeMetric};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Resolves to what the keeper has.
pub struct Certificate(Arc<Current>);

/// When it ends, as a metric.
#[derive(Debug)]
pub struct Expiry(pub Arc<Current>);

impl Certificate {
    /// TLS with the certificate that `current` holds; where there is none, no handshake succeeds. The API server shows no
    /// certificate, and none is asked for: an answer tells nothing that who asked did not know.
    pub fn config(current: Arc<Current>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Self(current)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load()?.own().resolve(hello)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(identity) = self.0.load() else { return Ok(()) };
        let end = identity.not_after().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let gauge = ConstGauge::new(end);
        let (name, help) = ("byrnie_certificate_expiry_timestamp_seconds", "End of the own certificate, since 1970");
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}
