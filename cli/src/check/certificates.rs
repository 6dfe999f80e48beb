//! Certificates in PEM: which they are, and when they end.

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use x509_parser::pem::Pem;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// As it is signed.
    pub der: Vec<u8>,
    /// When it ends.
    pub ends: OffsetDateTime,
}

/// All certificates of a text; keys beside them are passed over.
pub fn read(text: &[u8]) -> Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let block = block.context("no PEM")?;
        if block.label != "CERTIFICATE" {
            continue;
        }
        let parsed = block.parse_x509().context("a certificate that cannot be read")?;
        let ends = parsed.validity().not_after.to_datetime();
        certificates.push(Certificate { ends, der: block.contents });
    }
    if certificates.is_empty() {
        bail!("no certificate");
    }
    Ok(certificates)
}
