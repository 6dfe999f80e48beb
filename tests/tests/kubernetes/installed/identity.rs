//! The root and the issuer, in a Secret that all replicas share.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use byrnie_ca::Keys;
use byrnie_identity::{TrustDomain, certificate_end};
use byrnie_tests::{kubernetes::ApiServer, objects::Pod, replica::Replica, wait::until};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use super::{SYSTEM, Stage};

const SECRET: &str = "byrnie-ca";
const DAY: Duration = Duration::from_secs(24 * 3600);

type Texts = BTreeMap<String, String>;

/// What the Secret of the keys holds; `None` where there is none.
async fn kept(stage: &Stage) -> Result<Option<Texts>> {
    let template = "{{range $key, $text := .data}}{{$key}}={{$text | base64decode}};{{end}}";
    let output = format!("--output=go-template={template}");
    let asked = ["get", "secret", SECRET, "--namespace", SYSTEM, "--ignore-not-found", &output];
    let told = stage.server.kubectl(&asked).await?;
    let texts = told.split(';').filter_map(|text| text.split_once('='));
    let texts: Texts = texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    Ok((!texts.is_empty()).then_some(texts))
}

/// Keys that were made so long ago, in the Secret.
async fn keep(server: &ApiServer, ago: Duration) -> Result<Keys> {
    let keys = Keys::make(&TrustDomain::default(), SystemTime::now() - ago)?;
    let (metadata, texts) = (json!({"name": SECRET, "namespace": SYSTEM}), texts(&keys));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts});
    server.apply(&secret.to_string()).await?;
    Ok(keys)
}

fn texts(keys: &Keys) -> Texts {
    keys.texts().into_iter().map(|(key, text)| (key, String::from_utf8_lossy(&text).into_owned())).collect()
}

/// The certificate of the issuer in the Secret.
fn issuer(texts: &Texts) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(texts["issuer.pem"].as_bytes())?)
}

fn web(stage: &Stage) -> Pod {
    Pod::new(&stage.namespace, "web-1", "web").serving(8080, ([127, 0, 0, 1], 9).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_root_whatever_becomes_of_its_secret_and_of_replicas() -> Result<()> {
    let mut stage = Stage::start().await?;
    let roots = stage.any_roots().await?;
    stage.until_roots(SYSTEM, &roots).await?;
    assert_eq!(stage.said("made a new root"), 1, "{}", stage.logs());
    let texts = kept(&stage).await?.context("there is a Secret")?;
    assert_eq!(roots, texts["root.crt"]);
    let token = stage.workload(&web(&stage), "web").await?;

    // One replica comes back, the Secret goes at the same moment.
    for _ in 0..3 {
        let delete = ["delete", "secret", SECRET, "--namespace", SYSTEM];
        stage.replicas[1].restart()?;
        stage.server.kubectl(&delete).await?;
        until("the Secret is back", async || Ok(kept(&stage).await?.is_some())).await?;
        stage.replicas[1].ready().await?;
        assert_eq!(kept(&stage).await?.as_ref(), Some(&texts), "{}", stage.logs());
    }
    for replica in &stage.replicas {
        stage.sign(replica, &roots, &token).await?.verify(&roots)?;
    }
    stage.until_roots(&stage.namespace, &roots).await?;
    assert_eq!(stage.said("made a new root"), 1, "{}", stage.logs());

    // Nobody has the keys any more.
    stage.replicas.iter_mut().for_each(Replica::kill);
    stage.server.kubectl(&["delete", "secret", SECRET, "--namespace", SYSTEM]).await?;
    for replica in &mut stage.replicas {
        replica.restart()?;
    }
    for replica in &stage.replicas {
        replica.ready().await?;
    }
    assert_eq!(stage.said("made a new root"), 2, "{}", stage.logs());
    let next = kept(&stage).await?.context("there is a Secret")?;
    stage.until_roots(&stage.namespace, &next["root.crt"]).await?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_due_is_renewed_once_and_taken_up_by_all() -> Result<()> {
    let mut stage = Stage::prepare(&[]).await?;
    // Past its end: the mesh lay still for a long time.
    let ended = keep(&stage.server, DAY * 400).await?;
    stage.launch(2, &[]).await?;
    for replica in &stage.replicas {
        replica.ready().await?;
    }
    let roots = ended.roots().pem();
    stage.until_roots(&stage.namespace, &roots).await?;
    let token = stage.workload(&web(&stage), "web").await?;
    renewed(&stage, &ended, &token).await?;

    // Past two thirds of its life: somebody put back an older state.
    let due = keep(&stage.server, DAY * 300).await?;
    renewed(&stage, &due, &token).await?;
    assert_eq!(stage.said("renewed the issuer"), 2, "{}", stage.logs());
    assert_eq!(stage.said("made a new root"), 0);
    stage.finish()
}

/// Waits until both replicas issue by a new issuer of the same root.
async fn renewed(stage: &Stage, before: &Keys, token: &str) -> Result<()> {
    let (old, roots) = (texts(before), before.roots().pem());
    let mut now = Texts::new();
    until("the issuer is renewed", async || {
        now = kept(stage).await?.context("the Secret is there")?;
        ensure!(now["root.crt"] == old["root.crt"] && now["root.key"] == old["root.key"], "another root");
        Ok(now["issuer.pem"] != old["issuer.pem"])
    })
    .await
    .with_context(|| stage.logs())?;
    let issuer = issuer(&now)?;
    assert!(certificate_end(&issuer)? > SystemTime::now() + DAY * 300);
    // What the replicas show was issued before, perhaps by the root before.
    until("the roots are told", async || Ok(stage.any_roots().await?.contains(&roots))).await?;
    let all = stage.any_roots().await?;
    for replica in &stage.replicas {
        replica
            .until("the new issuer is in use", async |replica| {
                let signed = stage.sign(replica, &all, token).await?;
                signed.verify(&roots)?;
                Ok(*signed.issuer()? == issuer)
            })
            .await?;
    }
    Ok(())
}
