use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_identity::{IdentityError, TrustDomain};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{error, info, warn};

use crate::{
    Clock,
    authority::Authority,
    disk::{self, Lock, PUBLIC, SECRET},
    keys::{self, ISSUER, Keys, KeysError, ROOT_CERTIFICATE, ROOT_KEY, TOKEN_KEY, TRUST_DOMAIN},
    signer::SignerError,
    token::TokenKey,
};

const HOME: &str = "ca";
const LOCK: &str = "lock";
/// What is kept, and the mode of its file.
const FILES: [(&str, u32); 5] =
    [(TRUST_DOMAIN, PUBLIC), (ROOT_CERTIFICATE, PUBLIC), (ROOT_KEY, SECRET), (ISSUER, SECRET), (TOKEN_KEY, SECRET)];

/// How long a start waits for another process that is making or renewing the same state.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a running process looks whether the issuer is due. A wall clock may jump: one long sleep would miss it.
const LOOK_AT_ISSUER: Duration = Duration::from_secs(60 * 60);
const RETRY_ISSUER: Duration = Duration::from_secs(60);

/// The directory in which [`Keys`] are kept: `DIR/lock`, which is held while they are made or changed, and `DIR/ca` with
/// a file for each of their texts.
///
/// `DIR/ca` appears by one rename when all of it is on the disk, and later changes replace one file by rename: a kill
/// or a full disk leaves the state as it was.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    keys: Keys,
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
            create(dir, trust_domain, now)?;
            info!(state = %dir.display(), %trust_domain, "made a new root");
        }
        let keys = load(dir, trust_domain, now)?;
        let mut state = Self { dir: dir.to_owned(), keys };
        if let Some(renewed) = state.renewed(&state.keys, now)? {
            state.keys = renewed;
        }
        Ok(state)
    }

    /// The keys as they were found or made.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The key that signs the join tokens of an existing state, for a process that only mints.
    pub fn token_key(dir: &Path) -> Result<TokenKey, StateError> {
        let home = dir.join(HOME);
        if !home.try_exists().map_err(io_at(&home, "look at the directory"))? {
            return Err(StateError::Absent(dir.to_owned()));
        }
        let read_all = || {
            let trust_domain = keys::marker(&read(&home.join(TRUST_DOMAIN))?).map_err(|error| unusable(dir, error))?;
            let text = read_secret(&home.join(TOKEN_KEY))?;
            keys::token_key(&trust_domain, &text).map_err(|error| unusable(dir, error))
        };
        read_all()
    }

    /// Where the root certificate of the state in `dir` lies, PEM; for clients beyond this machine.
    pub fn roots_file(dir: &Path) -> PathBuf {
        dir.join(HOME).join(ROOT_CERTIFICATE)
    }

    /// Renews the issuer of `authority`, on the disk first, if it is due; says whether it did. Blocks on the disk.
    pub fn renew_issuer(&self, authority: &Authority, now: SystemTime) -> Result<bool, StateError> {
        let keys = authority.keys();
        if keys.renew_at().is_none_or(|due| now < due) {
            return Ok(false);
        }
        let _lock = lock(&self.dir)?;
        let Some(renewed) = self.renewed(&keys, now)? else { return Ok(false) };
        authority.replace(renewed, now).map_err(|error| unusable(&self.dir, error))?;
        Ok(true)
    }

    /// Keeps the issuer of `authority` renewed for as long as it runs. The owner aborts it.
    pub async fn keep_issuer(self: Arc<Self>, authority: Arc<Authority>, clock: Clock) {
        loop {
            let (state, authority, now) = (Arc::clone(&self), Arc::clone(&authority), clock());
            let wait = match spawn_blocking(move || state.renew_issuer(&authority, now)).await {
                Ok(Ok(_)) => LOOK_AT_ISSUER,
                Ok(Err(error)) => {
                    error!(%error, "cannot renew the issuer");
                    RETRY_ISSUER
                }
                Err(error) => {
                    warn!(%error, "renewal of the issuer ended early");
                    RETRY_ISSUER
                }
            };
            sleep(wait).await;
        }
    }

    /// `keys` with a new issuer, on the disk already, if it is due. The caller holds the lock.
    fn renewed(&self, keys: &Keys, now: SystemTime) -> Result<Option<Keys>, StateError> {
        let renew = || {
            let Some(renewed) = keys.renewed(now).map_err(|error| unusable(&self.dir, error))? else { return Ok(None) };
            let path = self.dir.join(HOME).join(ISSUER);
            let texts = renewed.texts();
            disk::replace(&path, SECRET, &texts[ISSUER]).map_err(io_at(&path, "replace the file"))?;
            Ok(Some(renewed))
        };
        match renew() {
            Ok(renewed) => {
                if renewed.is_some() {
                    info!(state = %self.dir.display(), "renewed the issuer");
                }
                Ok(renewed)
            }
            Err(error) if now <= keys.not_after() => {
                warn!(%error, "cannot renew the issuer, the old one serves on");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn create(dir: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<(), StateError> {
    let home = dir.join(HOME);
    let texts = Keys::make(trust_domain, now).map_err(|error| unusable(dir, error))?.texts();
    let files = FILES.map(|(name, mode)| (name, mode, &texts[name][..]));
    disk::create_dir_with(&home, &files).map_err(io_at(&home, "write the new keys"))
}

fn load(dir: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<Keys, StateError> {
    let home = dir.join(HOME);
    check_mode(&home, 0o022, 0o700)?;
    let mut texts = BTreeMap::new();
    for (name, mode) in FILES {
        let path = home.join(name);
        texts.insert(name.to_owned(), if mode == SECRET { read_secret(&path)? } else { read(&path)? });
    }
    Keys::from_texts(&texts, trust_domain, now).map_err(|error| unusable(dir, error))
}

/// What is wrong with keys, said of the files in which they lie.
fn unusable(dir: &Path, error: KeysError) -> StateError {
    let home = dir.join(HOME);
    match error {
        KeysError::Missing(name) => StateError::Missing { path: home.join(name), home },
        KeysError::Marker(error) => StateError::Marker { path: home.join(TRUST_DOMAIN), error },
        KeysError::TrustDomain { found, wanted } => StateError::TrustDomain { dir: dir.to_owned(), found, wanted },
        KeysError::Signer { text, error } => StateError::Signer { path: home.join(text), error },
    }
}

fn lock(dir: &Path) -> Result<Lock, StateError> {
    let path = dir.join(LOCK);
    let lock = Lock::take(&path, PATIENCE).map_err(io_at(&path, "lock the state"))?;
    lock.ok_or(StateError::Locked(path))
}

fn read_secret(path: &Path) -> Result<Vec<u8>, StateError> {
    check_mode(path, 0o077, SECRET)?;
    read(path)
}

fn read(path: &Path) -> Result<Vec<u8>, StateError> {
    fs::read(path).map_err(|error| missing_or(path, "read the file", error))
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

#[cfg(test)]
mod tests;
