//! The last certificate and its key in a file, so that a restart serves while the control plane is away.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use byrnie_identity::certificates_pem;
use rcgen::KeyPair;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use serde_json::{Value, json};

use super::{Identity, UnusableIdentity, source::unix};

/// The name of the file in the folder of the state.
const FILE: &str = "identity.json";

/// The place of the file. Only its owner may read it.
#[derive(Clone, Debug)]
pub struct Stored {
    path: PathBuf,
}

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not ours.
    #[error("{}: expected what byrnie-proxy wrote, found no readable {field}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// What is missing.
        field: &'static str,
    },
    /// It is of another workload.
    #[error("{}: expected the workload {expected}, found {found}", path.display())]
    Workload {
        /// The file.
        path: PathBuf,
        /// This one.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// It does not belong together.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: UnusableIdentity,
    },
}

impl Stored {
    /// In the folder `state`, which is there.
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(FILE) }
    }

    /// What was stored for `workload`, if peers accept it at `now`; none where nothing was stored or it ended.
    pub(super) fn load(&self, workload: &str, now: SystemTime) -> Result<Option<Identity>, StoredError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let missing = |field| StoredError::Field { path: self.path.clone(), field };
        let value: Value = serde_json::from_slice(&text).map_err(|_| missing("JSON"))?;
        let text = |field| value[field].as_str().ok_or_else(|| missing(field));
        let found = text("workload")?;
        if found != workload {
            let (path, expected) = (self.path.clone(), workload.to_owned());
            return Err(StoredError::Workload { path, expected, found: found.to_owned() });
        }
        let certificates = |field| certificates(text(field)?).map_err(|_| missing(field));
        let key = PrivateKeyDer::from_pem_slice(text("key")?.as_bytes()).map_err(|_| missing("key"))?;
        let renew_at = unix(value["renew_at"].as_i64().ok_or_else(|| missing("renew_at"))?);
        let identity = Identity::new(certificates("chain")?, &key, certificates("roots")?, renew_at)
            .map_err(|source| StoredError::Unusable { path: self.path.clone(), source })?;
        Ok(Some(identity).filter(|identity| identity.is_valid(now)))
    }

    /// Replaces what is stored, at once or not at all.
    pub(super) fn save(&self, workload: &str, identity: &Identity, key: &KeyPair) -> Result<(), StoredError> {
        let value = json!({
            "workload": workload,
            "key": key.serialize_pem(),
            "chain": certificates_pem(identity.chain()),
            "roots": certificates_pem(identity.roots()),
            "renew_at": identity.renew_at().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        });
        self.replace(value.to_string().as_bytes()).map_err(|source| self.failed(source))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("new");
        // What a crash left may have been made by others: the file is new, so that the mode is ours.
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)
    }

    fn failed(&self, source: io::Error) -> StoredError {
        StoredError::File { path: self.path.clone(), source }
    }
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests;
