use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    time::UNIX_EPOCH,
};

use byrnie_identity::certificates_pem;
use byrnie_proto::ca::{
    SignRequest, SignResponse,
    certificate_authority_server::{CertificateAuthority, CertificateAuthorityServer},
};
use rcgen::CertificateSigningRequestParams;
use rustls_pki_types::CertificateSigningRequestDer;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, ServerTlsConfig},
};

use super::{
    super::testing::{Authority, CART},
    *,
};

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(20);

/// A control plane that signs whatever comes with the right token, with a certificate that is to be renewed at once.
struct ControlPlane {
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Signer {
    authority: Arc<Authority>,
    calls: Arc<AtomicUsize>,
    token: Arc<Mutex<String>>,
    left: Duration,
}

#[async_trait]
impl CertificateAuthority for Signer {
    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        self.calls.fetch_add(1, SeqCst);
        let authorization = request.metadata().get("authorization").unwrap().to_str().unwrap();
        if authorization != format!("Bearer {}", self.token.lock().unwrap()) {
            return Err(Status::unauthenticated("not this token"));
        }
        let csr = CertificateSigningRequestDer::from(request.into_inner().csr_der);
        let csr = CertificateSigningRequestParams::from_der(&csr).unwrap();
        assert_eq!(csr.public_key.algorithm(), &rcgen::PKCS_ECDSA_P256_SHA256);
        let chain = self.authority.sign(&[CART], &csr.public_key, self.left);
        let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        Ok(Response::new(SignResponse {
            chain_der: chain.iter().map(|der| der.to_vec()).collect(),
            roots_der: self.authority.roots().iter().map(|der| der.to_vec()).collect(),
            not_after: unix(SystemTime::now() + self.left),
            renew_at: unix(SystemTime::now()),
        }))
    }
}

impl ControlPlane {
    async fn start(signer: &Signer, address: &str) -> Self {
        Self::serve(Server::builder(), signer, address).await
    }

    async fn serve(mut server: Server, signer: &Signer, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = CertificateAuthorityServer::new(signer.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serve = server.add_service(service).serve_with_incoming(incoming);
        Self { address, task: tokio::spawn(async move { serve.await.unwrap() }) }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn signer(left: Duration) -> Signer {
    Signer {
        authority: Arc::new(Authority::new()),
        calls: Arc::default(),
        token: Arc::new(Mutex::new("token".into())),
        left,
    }
}

fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

fn source(folder: &Path, address: SocketAddr) -> Source {
    let token_file = folder.join("token");
    fs::write(&token_file, "token\n").unwrap();
    Source { workload: "shop/cart-1".into(), address: address.to_string(), roots_file: None, token_file }
}

struct Kept {
    current: Arc<Current>,
    folder: Arc<TempDir>,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn keep(address: SocketAddr, folder: &Arc<TempDir>, stored: bool) -> Kept {
    let current = Arc::new(Current::new());
    let stored = stored.then(|| Stored::new(folder.path()));
    let keeper = Keeper::new(source(folder.path(), address), stored, Arc::clone(&current));
    Kept { current, folder: Arc::clone(folder), task: tokio::spawn(keeper.run()) }
}

impl Kept {
    /// Waits for a generation after `generation`.
    async fn next(&self, generation: u64) -> Arc<Identity> {
        let mut watch = self.current.watch();
        let newer = |held: &Option<Arc<Identity>>| held.as_ref().is_some_and(|held| held.generation() > generation);
        let held = timeout(SOON, watch.wait_for(newer)).await.expect("no certificate in time").unwrap();
        held.clone().unwrap()
    }
}

#[tokio::test]
async fn the_first_certificate_is_followed_by_the_next_and_each_has_a_new_key() {
    let signer = signer(HOUR);
    let control_plane = ControlPlane::start(&signer, "127.0.0.1:0").await;
    let kept = keep(control_plane.address, &folder(), false);
    let first = kept.next(0).await;
    assert_eq!((&**first.uri(), first.generation()), (CART, 1));
    assert_eq!(first.roots(), signer.authority.roots());
    let second = kept.next(1).await;
    assert_ne!(first.chain()[0], second.chain()[0]);
    assert_eq!(second.generation(), 2);
    assert!(fs::read_dir(kept.folder.path()).unwrap().count() == 1, "nothing is stored unasked");
}

#[tokio::test]
async fn while_the_control_plane_is_away_the_old_certificate_stays_and_a_new_one_follows() {
    let signer = signer(HOUR);
    let control_plane = ControlPlane::start(&signer, "127.0.0.1:0").await;
    let address = control_plane.address;
    let kept = keep(address, &folder(), false);
    let first = kept.next(0).await;
    control_plane.stop().await;
    assert!(source(kept.folder.path(), address).issue().await.is_err());
    let held = kept.current.load().expect("the old one stays").generation();
    assert!(held >= first.generation());
    let _again = ControlPlane::start(&signer, &address.to_string()).await;
    kept.next(held).await;
}

#[tokio::test]
async fn the_token_is_read_for_each_call() {
    let signer = signer(HOUR);
    *signer.token.lock().unwrap() = "next".into();
    let control_plane = ControlPlane::start(&signer, "127.0.0.1:0").await;
    let kept = keep(control_plane.address, &folder(), false);
    while signer.calls.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(kept.current.load().is_none());
    fs::write(kept.folder.path().join("token"), "next").unwrap();
    kept.next(0).await;
}

#[tokio::test]
async fn a_restart_goes_on_with_the_stored_certificate_while_nobody_signs() {
    let signer = signer(HOUR);
    let control_plane = ControlPlane::start(&signer, "127.0.0.1:0").await;
    let address = control_plane.address;
    let folder = folder();
    let kept = keep(address, &folder, true);
    let first = kept.next(0).await;
    control_plane.stop().await;
    drop(kept);
    let restarted = keep(address, &folder, true);
    assert_eq!(restarted.next(0).await.uri(), first.uri());
    // And asks for a new one as soon as somebody signs.
    let _again = ControlPlane::start(&signer, &address.to_string()).await;
    restarted.next(1).await;
}

#[tokio::test]
async fn a_control_plane_that_speaks_tls_is_proven_by_the_roots() {
    let signer = signer(HOUR);
    let (chain, key) = signer.authority.server();
    let tls = ServerTlsConfig::new().identity(tonic::transport::Identity::from_pem(chain, key));
    let server = Server::builder().tls_config(tls).unwrap();
    let control_plane = ControlPlane::serve(server, &signer, "127.0.0.1:0").await;
    let folder = folder();
    let roots_file = folder.path().join("roots");
    let source = Source { roots_file: Some(roots_file.clone()), ..source(folder.path(), control_plane.address) };
    fs::write(&roots_file, certificates_pem(&signer.authority.roots())).unwrap();
    source.issue().await.unwrap();
    fs::write(&roots_file, certificates_pem(&Authority::new().roots())).unwrap();
    let error = source.issue().await.unwrap_err().to_string();
    assert!(error.starts_with("cannot call 127.0.0.1:") && error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn what_hinders_is_told_in_words() {
    let signer = signer(HOUR);
    *signer.token.lock().unwrap() = "another".into();
    let control_plane = ControlPlane::start(&signer, "127.0.0.1:0").await;
    let folder = folder();
    let good = source(folder.path(), control_plane.address);
    let error = async |source: &Source| source.issue().await.unwrap_err().to_string();
    let refused = error(&good).await;
    assert!(refused.contains("not this token") && refused.contains(&good.address), "{refused}");
    let away = Source { address: "127.0.0.1:1".into(), ..good.clone() };
    assert!(error(&away).await.starts_with("cannot call 127.0.0.1:1: "), "{}", error(&away).await);
    let missing = Source { token_file: folder.path().join("none"), ..good.clone() };
    assert!(error(&missing).await.contains("/none: No such file"), "{}", error(&missing).await);
    fs::write(folder.path().join("token"), "two\nlines").unwrap();
    assert!(error(&good).await.contains("expected one line with a token"), "{}", error(&good).await);
}
