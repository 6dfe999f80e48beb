//! Certificates by signing request, from a running control plane: the key stays with the workload.

use anyhow::{Context, Result};
use byrnie_proto::ca::{SignRequest, certificate_authority_client::CertificateAuthorityClient};
use byrnie_tests::{mesh::Mesh, objects::Pod, process::byrnie};
use rcgen::{CertificateParams, KeyPair};
use tonic::{Code, Request, transport::Endpoint};

fn output(arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new(byrnie()?).args(arguments).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn sign(mesh: &Mesh, token: Option<&str>, csr: Vec<u8>) -> Result<Result<Vec<Vec<u8>>, tonic::Status>> {
    let channel = Endpoint::from_shared(format!("http://{}", mesh.xds()))?.connect().await?;
    let mut request = Request::new(SignRequest { csr_der: csr, ttl_seconds: 0 });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    let response = CertificateAuthorityClient::new(channel).sign(request).await;
    Ok(response.map(|response| response.into_inner().chain_der))
}

fn csr() -> Result<Vec<u8>> {
    let key = KeyPair::generate()?;
    Ok(CertificateParams::default().serialize_request(&key)?.der().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_buys_a_certificate_for_its_pods_account_and_nothing_else_does() -> Result<()> {
    let pod = Pod::new("shop", "cart-1", "cart");
    let mesh = Mesh::start(&[("pod.yaml", pod.yaml())]).await?;
    let state = mesh.state();
    let state = state.to_str().context("a test's path is text")?;
    let token = output(&["token", "--workload", "shop/cart-1", "--state", state])?;
    let chain = sign(&mesh, Some(token.trim()), csr()?).await?.context("refused")?;
    let identity = byrnie_identity::peer_identity(&chain[0])?;
    assert_eq!(identity.to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
    assert_eq!(chain.len(), 2, "the leaf and its issuer");
    assert_eq!(sign(&mesh, None, csr()?).await?.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(sign(&mesh, Some("nonsense"), csr()?).await?.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(sign(&mesh, Some(token.trim()), vec![1, 2, 3]).await?.unwrap_err().code(), Code::InvalidArgument);
    Ok(())
}
