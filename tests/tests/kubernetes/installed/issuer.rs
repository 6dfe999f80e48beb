//! An issuer of the user's own, and what the xDS port demands under it.

use anyhow::{Result, ensure};
use byrnie_tests::{http, objects::Pod, replica::Replica, wait::until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tonic::{Code, Status};

use super::{CONTROL_PLANE, SYSTEM, Stage, caller::Caller};

const SECRET: &str = "own-issuer";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// As cert-manager writes the Secret of a CA.
struct Own {
    root: Issuer,
    issuer: Issuer,
}

impl Own {
    fn new() -> Result<Self> {
        let root = Issuer::self_signed(authority("root")?, KeyPair::generate()?)?;
        let issuer = Issuer::signed_by(authority("issuer")?, KeyPair::generate()?, &root)?;
        Ok(Self { root, issuer })
    }

    fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    fn secret(&self, key: &KeyPair) -> String {
        let data = json!({
            "tls.crt": self.issuer.pem(),
            "tls.key": key.serialize_pem(),
            "ca.crt": self.root.pem(),
        });
        let metadata = json!({"name": SECRET, "namespace": SYSTEM});
        let kind = "kubernetes.io/tls";
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "stringData": data})
            .to_string()
    }
}

fn authority(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_issuer_is_waited_for_and_followed_and_an_invalid_one_changes_nothing() -> Result<()> {
    let mut stage = Stage::prepare(&["--set", &format!("issuerSecret={SECRET}")]).await?;
    stage.launch(1, &["--issuer-secret", SECRET]).await?;
    until_unready(&stage.replicas[0], "why=\"it is not there\"").await?;
    let lease = stage.find("lease", CONTROL_PLANE, SYSTEM).await?;
    assert!(lease.is_null(), "who serves nobody holds no Lease: {lease}");

    let (first, second) = (Own::new()?, Own::new()?);
    stage.server.apply(&first.secret(second.issuer.key())).await?;
    until_unready(&stage.replicas[0], "tls.key").await?;
    let replica = &stage.replicas[0];
    stage.server.apply(&first.secret(first.issuer.key())).await?;
    replica.ready().await?;
    stage.until_roots(&stage.namespace, &first.root.pem()).await?;
    let web = Pod::new(&stage.namespace, "web-1", "web").serving(8080, ([127, 0, 0, 1], 9).into());
    let token = stage.workload(&web, "web").await?;
    let signed = stage.sign(replica, &first.root.pem(), &token).await?;
    signed.verify(&first.root.pem())?;
    assert_eq!(signed.issuer()?, first.der());
    demands_proof(&stage, &first.root.pem(), &token, &web).await?;

    stage.server.apply(&second.secret(second.issuer.key())).await?;
    replica
        .until("the next issuer is in use", async |_| {
            let signed = stage.sign(replica, &first.root.pem(), &token).await?;
            Ok(signed.issuer()? == second.der())
        })
        .await?;
    // Who has a leaf of the first is still to be trusted.
    until("both roots are in the namespace", async || {
        let roots = stage.any_roots().await?;
        Ok([&first, &second].iter().all(|own| roots.contains(&own.root.pem())))
    })
    .await?;

    stage.server.apply(&second.secret(first.issuer.key())).await?;
    let kept = "what it held before stays in force";
    replica.until("it says that the Secret cannot be used", async |replica| Ok(replica.log().contains(kept))).await?;
    let signed = stage.sign(replica, &first.root.pem(), &token).await?;
    signed.verify(&second.root.pem())?;
    assert!(stage.find("secret", "byrnie-ca", SYSTEM).await?.is_null(), "no root of ours is made");
    bundles(&stage).await?;
    stage.finish()
}

/// Waits until a replica has said `why` it is not ready.
async fn until_unready(replica: &Replica, why: &str) -> Result<()> {
    replica.until(&format!("it says {why}"), async |replica| Ok(replica.log().contains(why))).await?;
    assert_eq!(http::get(replica.probes(), "localhost", "/healthz/ready").await?.status, 503);
    Ok(())
}

/// Nothing is told in plain text or to nobody; a token and a certificate are as good as each other.
async fn demands_proof(stage: &Stage, roots: &str, token: &str, web: &Pod) -> Result<()> {
    let replica = &stage.replicas[0];
    assert!(http::get(replica.xds(), "localhost", "/").await.is_err());
    let (name, id) = (web.workload(), format!("spiffe://cluster.local/ns/{}/sa/web", stage.namespace));
    let nobody = Caller::connect(replica.xds(), roots, None, None).await?;
    let by_token = Caller::connect(replica.xds(), roots, Some(token), None).await?;
    let signed = by_token.sign().await??;
    assert_eq!(signed.id()?, id);
    let by_certificate = Caller::connect(replica.xds(), roots, None, Some(&signed)).await?;
    let both = Caller::connect(replica.xds(), roots, Some(token), Some(&signed)).await?;
    for refused in [
        nobody.sign().await?.map(drop),
        nobody.discover(&name).await?.map(drop),
        Caller::connect(replica.xds(), roots, Some("nonsense"), Some(&signed)).await?.discover(&name).await?.map(drop),
    ] {
        assert_eq!(code(refused), Some(Code::Unauthenticated));
    }
    for caller in [&by_token, &by_certificate, &both] {
        caller.discover(&name).await??;
        assert_eq!(caller.sign().await??.id()?, id);
    }
    let elsewhere = format!("{}/other", stage.namespace);
    for caller in [&by_token, &by_certificate] {
        let refused = code(caller.discover(&elsewhere).await?);
        assert!(matches!(refused, Some(Code::PermissionDenied | Code::NotFound)), "{refused:?}");
    }
    for caller in [&nobody, &by_token, &by_certificate, &both] {
        assert_eq!(code(caller.tallies().await?), Some(Code::PermissionDenied));
    }
    Ok(())
}

/// Why a call was refused.
fn code<T>(said: Result<T, Status>) -> Option<Code> {
    said.err().map(|status| status.code())
}

/// Which namespaces have the trust bundle, whatever is done to it.
async fn bundles(stage: &Stage) -> Result<()> {
    let Stage { server, namespace, .. } = stage;
    let roots = stage.any_roots().await?;
    stage.until_roots(SYSTEM, &roots).await?;
    let (by_pod, outside) = (server.namespace("by-pod").await?, server.namespace("outside").await?);
    let sidecar = Pod::new(&by_pod, "cart-1", "cart").serving(8080, ([127, 0, 0, 1], 9).into());
    for pod in [sidecar, Pod::new(&outside, "cart-1", "cart")] {
        let of = pod.workload();
        super::run(server, of.split('/').next().unwrap_or_default(), &pod).await?;
    }
    stage.until_roots(&by_pod, &roots).await?;
    let patch = r#"{"data": {"root.crt": "none"}}"#;
    for namespace in [SYSTEM, namespace, &by_pod] {
        server.kubectl(&["patch", "configmap", "byrnie-trust", "--namespace", namespace, "--patch", patch]).await?;
    }
    for namespace in [SYSTEM, namespace, &by_pod] {
        stage.until_roots(namespace, &roots).await?;
        server.kubectl(&["delete", "configmap", "byrnie-trust", "--namespace", namespace]).await?;
    }
    for namespace in [SYSTEM, namespace, &by_pod] {
        stage.until_roots(namespace, &roots).await?;
    }
    ensure!(stage.roots(&outside).await?.is_none(), "a namespace outside the mesh has a trust bundle");
    server.kubectl(&["label", "namespace", &outside, "byrnie.io/inject=enabled"]).await?;
    until("a namespace joins the mesh", async || Ok(stage.roots(&outside).await?.as_ref() == Some(&roots))).await
}
