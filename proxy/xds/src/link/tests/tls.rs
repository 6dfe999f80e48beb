//! Who the control plane is.

use std::{fs, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::fixture::{Plane, settings};
use crate::Settings;

/// A root and a certificate for `name` that it signed: PEM of root, certificate and key.
fn certified(name: &str) -> [String; 3] {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    [root.pem(), leaf.pem(), key.serialize_pem()]
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_is_proven_by_the_roots_in_a_file_that_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let [root, leaf, key] = certified("control-plane");
    let [other, ..] = certified("control-plane");
    fs::write(&roots, other).unwrap();
    let mut plane = Plane::with_tls(&leaf, &key);
    let proxy = plane.proxy(Settings { roots: Some(roots.clone()), ..settings() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!plane.dialled().is_empty());
    assert_eq!(proxy.handle.figures().connects, 0);
    fs::write(&roots, root).unwrap();
    plane.first_stream().await.serve_shop().await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_another_name_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let [root, leaf, key] = certified("127.0.0.1");
    fs::write(&roots, root).unwrap();
    let mut plane = Plane::with_tls(&leaf, &key);
    let wrong = plane.proxy(Settings { roots: Some(roots.clone()), ..settings() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(wrong.handle.figures().failures > 0);
    assert_eq!(wrong.handle.figures().connects, 0);
    // An address is proven by its own kind of name.
    let _right = plane.proxy(Settings { roots: Some(roots), address: "127.0.0.1:15010".to_owned(), ..settings() });
    plane.first_stream().await;
}
