use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_identity::{IdentityError, TrustDomain};
use rcgen::KeyPair;
use tracing::{info, warn};

use crate::{
    disk::{self, Lock, PUBLIC, SECRET},
    signer::{Signer, SignerError, Validity},
    token::TokenKey,
};

const HOME: &str = "ca";
const LOCK: &str = "lock";
const TRUST_DOMAIN: &str = "trust-domain";
const ROOT_CERTIFICATE: &str = "root.crt";
const ROOT_KEY: &str = "root.key";
/// Key and certificate in one file, so that a renewal is one rename.
const ISSUER: &str = "issuer.pem";
const TOKEN_KEY: &str = "token.key";

/// How long a start waits for another process that is making or renewing the same state.
const PATIENCE: Duration = Duration::from_secs(10);

/// The authority's keys, as they lie in a directory:
///
/// ```text
/// DIR/lock              held while the state is made or changed
/// DIR/ca/trust-domain   whose keys these are
/// DIR/ca/root.crt       DIR/ca/root.key      the root, 10 years
/// DIR/ca/issuer.pem     the issuer's key and certificate, 1 year, renewed at two thirds
/// DIR/ca/token.key      signs join tokens
/// ```
///
/// `DIR/ca` appears by one rename when all of it is on the disk, and later changes replace one file by rename: a kill
/// or a full disk leaves the state as it was.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    trust_domain: TrustDomain,
    root: Signer,
    issuer: Arc<Signer>,
    tokens: TokenKey,
}

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// A directory without a state, where one is needed.
    #[error("{} holds no keys yet: `byrnie run --state` makes them at its first start", .0.display())]
    Absent(PathBuf),
    /// A state with a file gone.
    #[error(
        "{} is missing: put it back from a copy, or remove {} to begin anew, after which every workload needs a new \
         certificate and a new token",
        path.display(),
        home.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The directory that should hold it.
        home: PathBuf,
    },
    /// The keys of another mesh.
    #[error(
        "{} holds the keys of trust domain {found}, not of {wanted}: name another --state directory, or run with the \
         trust domain {found}",
        dir.display()
    )]
    TrustDomain {
        /// The state directory.
        dir: PathBuf,
        /// Whose keys it holds.
        found: TrustDomain,
        /// Whose keys are wanted.
        wanted: TrustDomain,
    },
    /// The marker of the trust domain cannot be read.
    #[error("{}: {error}", path.display())]
    Marker {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        error: IdentityError,
    },
    /// A key that others may read, or a directory that others may change.
    #[error("{} is open to others (mode {mode:04o}): run `chmod {wanted:o} {}`", path.display(), path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// A root, issuer or token key that cannot be used.
    #[error("{} {error}", path.display())]
    Signer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SignerError,
    },
    /// Another process holds the lock for too long.
    #[error("{} is held by another process for more than {} s: is another `byrnie run` stuck?", .0.display(), PATIENCE.as_secs())]
    Locked(PathBuf),
}

impl State {
    /// Opens the state of `trust_domain` in `dir`, making it on first use, and verifies all of it. Blocks on the disk.
    ///
    /// An issuer past two thirds of its life is renewed. If that fails while the old one still holds, the old one
    /// serves on and the failure is logged.
    pub fn open(dir: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, StateError> {
        disk::make_dir(dir).map_err(io_at(dir, "make the directory"))?;
        let _lock = lock(dir)?;
        let home = dir.join(HOME);
        if !home.try_exists().map_err(io_at(&home, "look at the directory"))? {
            create(&home, trust_domain, now)?;
            info!(state = %dir.display(), %trust_domain, "made a new root");
        }
        let mut state = Self::load(dir, trust_domain, now)?;
        if let Some(issuer) = state.renewed_issuer(state.issuer.validity(), now)? {
            state.issuer = issuer;
        }
        Ok(state)
    }

    /// The key that signs the join tokens of an existing state, for a process that only mints.
    pub fn token_key(dir: &Path) -> Result<TokenKey, StateError> {
        let home = dir.join(HOME);
        if !home.try_exists().map_err(io_at(&home, "look at the directory"))? {
            return Err(StateError::Absent(dir.to_owned()));
        }
        read_token_key(&home, &read_marker(&home)?)
    }

    /// Where the root certificate of the state in `dir` lies, PEM; for clients beyond this machine.
    pub fn roots_file(dir: &Path) -> PathBuf {
        dir.join(HOME).join(ROOT_CERTIFICATE)
    }

    fn load(dir: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, StateError> {
        let home = dir.join(HOME);
        check_mode(&home, 0o022, 0o700)?;
        let found = read_marker(&home)?;
        if found != *trust_domain {
            return Err(StateError::TrustDomain { dir: dir.to_owned(), found, wanted: trust_domain.clone() });
        }
        let root = read_root(&home, trust_domain, now)?;
        let path = home.join(ISSUER);
        let text = read_secret(&path)?;
        let issuer = Signer::from_pem(&text, &text).map_err(signer_at(&path))?;
        match issuer.check(&root, trust_domain, now) {
            // An expired issuer is no fault of anyone who was away for a year: the root makes a new one.
            Ok(()) | Err(SignerError::Expired(_)) => {}
            Err(error) => return Err(StateError::Signer { path, error }),
        }
        let tokens = read_token_key(&home, trust_domain)?;
        Ok(Self { dir: dir.to_owned(), trust_domain: trust_domain.clone(), root, issuer: Arc::new(issuer), tokens })
    }

    /// The mesh whose keys these are.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    pub(crate) fn tokens(&self) -> &TokenKey {
        &self.tokens
    }

    pub(crate) fn root(&self) -> &Signer {
        &self.root
    }

    pub(crate) fn issuer(&self) -> &Arc<Signer> {
        &self.issuer
    }

    /// A new issuer in place of one with `validity`, on the disk already, if it is time and a new one would last longer.
    pub(crate) fn renew_issuer(&self, validity: Validity, now: SystemTime) -> Result<Option<Arc<Signer>>, StateError> {
        let _lock = lock(&self.dir)?;
        self.renewed_issuer(validity, now)
    }

    /// The caller holds the lock.
    fn renewed_issuer(&self, validity: Validity, now: SystemTime) -> Result<Option<Arc<Signer>>, StateError> {
        if now < validity.two_thirds() || validity.not_after >= self.root.validity().not_after {
            return Ok(None);
        }
        let path = self.dir.join(HOME).join(ISSUER);
        let renew = || {
            let issuer = self.root.intermediate(&self.trust_domain, now).map_err(signer_at(&path))?;
            disk::replace(&path, SECRET, &issuer_file(&issuer)).map_err(io_at(&path, "replace the file"))?;
            Ok(issuer)
        };
        match renew() {
            Ok(issuer) => {
                info!(state = %self.dir.display(), "renewed the issuer");
                Ok(Some(Arc::new(issuer)))
            }
            Err(error) if now <= validity.not_after => {
                warn!(%error, "cannot renew the issuer, the old one serves on");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn create(home: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<(), StateError> {
    let made = || {
        let root = Signer::root(trust_domain, now)?;
        let issuer = root.intermediate(trust_domain, now)?;
        Ok((root, issuer, KeyPair::generate()?.serialize_pem()))
    };
    let (root, issuer, token_key) = made().map_err(signer_at(home))?;
    let files = [
        (TRUST_DOMAIN, PUBLIC, format!("{trust_domain}\n")),
        (ROOT_CERTIFICATE, PUBLIC, root.certificate_pem()),
        (ROOT_KEY, SECRET, root.key_pem()),
        (ISSUER, SECRET, issuer_file(&issuer)),
        (TOKEN_KEY, SECRET, token_key),
    ];
    let files = files.each_ref().map(|(name, mode, content)| (*name, *mode, content.as_str()));
    disk::create_dir_with(home, &files).map_err(io_at(home, "write the new keys"))
}

fn issuer_file(issuer: &Signer) -> String {
    issuer.key_pem() + &issuer.certificate_pem()
}

fn lock(dir: &Path) -> Result<Lock, StateError> {
    let path = dir.join(LOCK);
    let lock = Lock::take(&path, PATIENCE).map_err(io_at(&path, "lock the state"))?;
    lock.ok_or(StateError::Locked(path))
}

fn read_marker(home: &Path) -> Result<TrustDomain, StateError> {
    let path = home.join(TRUST_DOMAIN);
    read(&path)?.trim().parse().map_err(|error| StateError::Marker { path, error })
}

fn read_root(home: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<Signer, StateError> {
    let (certificate, key) = (home.join(ROOT_CERTIFICATE), home.join(ROOT_KEY));
    let root = Signer::from_pem(&read(&certificate)?, &read_secret(&key)?).map_err(|error| match error {
        SignerError::Key(_) | SignerError::Mismatch => StateError::Signer { path: key, error },
        _ => StateError::Signer { path: certificate.clone(), error },
    })?;
    root.check(&root, trust_domain, now).map_err(signer_at(&certificate))?;
    Ok(root)
}

fn read_token_key(home: &Path, trust_domain: &TrustDomain) -> Result<TokenKey, StateError> {
    let path = home.join(TOKEN_KEY);
    let text = read_secret(&path)?;
    let key = TokenKey::from_pem(trust_domain.clone(), &text).map_err(SignerError::Key);
    key.map_err(signer_at(&path))
}

fn read_secret(path: &Path) -> Result<String, StateError> {
    check_mode(path, 0o077, SECRET)?;
    read(path)
}

fn read(path: &Path) -> Result<String, StateError> {
    fs::read_to_string(path).map_err(|error| missing_or(path, "read the file", error))
}

/// Refuses a `path` with any of the bits `forbidden`.
fn check_mode(path: &Path, forbidden: u32, wanted: u32) -> Result<(), StateError> {
    let metadata = fs::metadata(path).map_err(|error| missing_or(path, "look at the file", error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(StateError::Exposed { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

fn missing_or(path: &Path, action: &'static str, error: io::Error) -> StateError {
    match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(home)) => StateError::Missing { path: path.to_owned(), home: home.to_owned() },
        _ => StateError::Io { path: path.to_owned(), action, error },
    }
}

fn io_at(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::Io { path: path.to_owned(), action, error }
}

fn signer_at(path: &Path) -> impl FnOnce(SignerError) -> StateError {
    move |error| StateError::Signer { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests;
