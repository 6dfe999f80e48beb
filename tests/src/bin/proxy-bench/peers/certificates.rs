//! Certificates for peers that are set up by files: a root, an issuer and two leaves, as Byrnie's own CA makes them.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// The name by which the server's sidecar is called.
pub const SERVER: &str = "target.bench.svc.cluster.local";

/// Writes `roots.pem`, and `client.pem` and `server.pem`, each a leaf, its issuer and its key.
pub fn write(folder: &Path) -> Result<()> {
    let (root, root_key) = authority("root")?;
    let root_certificate = root.self_signed(&root_key)?;
    let root = Issuer::new(root, root_key);
    let (issuer, issuer_key) = authority("issuer")?;
    let issuer_certificate = issuer.signed_by(&issuer_key, &root)?;
    let issuer = Issuer::new(issuer, issuer_key);
    fs::write(folder.join("roots.pem"), root_certificate.pem())?;
    for (name, dns) in [("client", "client.bench.svc.cluster.local"), ("server", SERVER)] {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec![dns.to_owned()])?;
        let identity = format!("spiffe://cluster.local/ns/bench/sa/{name}");
        leaf.subject_alt_names.push(SanType::URI(identity.try_into()?));
        leaf.distinguished_name.push(DnType::CommonName, name);
        let leaf = leaf.signed_by(&key, &issuer)?;
        let pem = format!("{}{}{}", leaf.pem(), issuer_certificate.pem(), key.serialize_pem());
        fs::write(folder.join(format!("{name}.pem")), pem)?;
    }
    Ok(())
}

fn authority(name: &str) -> Result<(CertificateParams, KeyPair)> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok((params, KeyPair::generate()?))
}
