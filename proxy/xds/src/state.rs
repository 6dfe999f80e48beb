//! What last served, on disk, so that a proxy that starts while the control plane is away serves at once.
//!
//! One file: a line `byrnie-xds FORMAT NODE LENGTH CHECKSUM`, then each resource as a length-delimited
//! `envoy.service.discovery.v3.Resource`. It is written beside its place and renamed, readable by its owner only. A file
//! that is not understood is no error: the control plane is asked for everything, as at a first start.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use byrnie_proto::{
    Kind,
    envoy::{envoy::service::discovery::v3::Resource as Message, google::protobuf::Any},
};
use prost::Message as _;

use crate::{client::Kept, held::Good};

const FILE: &str = "xds-resources";
/// In the making.
const DRAFT: &str = "xds-resources.new";
const MAGIC: &str = "byrnie-xds";
const FORMAT: u32 = 1;
/// The largest file that is read: a damaged one must not fill the memory.
const FILE_LIMIT: u64 = 1 << 30;

/// Where it is kept, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    node: String,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} begins with {found:?}: `{MAGIC} {FORMAT} {node} LENGTH CHECKSUM` is accepted")]
    Foreign { path: PathBuf, found: String, node: String },
    #[error("{path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
}

impl Store {
    pub fn new(directory: PathBuf, node: String) -> Self {
        Self { directory, node }
    }

    /// What was kept; nothing where there is no file.
    pub fn load(&self) -> Result<Vec<Kept>, LoadError> {
        let path = self.directory.join(FILE);
        let mut bytes = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(LoadError::Read { path, source }),
        }
        self.parse(&path, &bytes)
    }

    fn parse(&self, path: &Path, bytes: &[u8]) -> Result<Vec<Kept>, LoadError> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let line = String::from_utf8_lossy(&bytes[..end.min(512)]).into_owned();
        let body = bytes.get(end + 1..).unwrap_or_default();
        let damaged = |what: String| LoadError::Damaged { path: path.to_owned(), what };
        let foreign = || LoadError::Foreign { path: path.to_owned(), found: line.clone(), node: self.node.clone() };
        let start = format!("{MAGIC} {FORMAT} {} ", self.node);
        let (len, sum) = line.strip_prefix(&start).and_then(|rest| rest.split_once(' ')).ok_or_else(foreign)?;
        if len.parse() != Ok(body.len()) {
            return Err(damaged(format!("{} bytes instead of {len}", body.len())));
        }
        if sum != checksum(body) {
            return Err(damaged(format!("checksum {} instead of {sum}", checksum(body))));
        }
        let mut rest = body;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let message = Message::decode_length_delimited(&mut rest).map_err(|error| damaged(error.to_string()))?;
            let any = message.resource.unwrap_or_default();
            let kind = any.type_url.parse::<Kind>().map_err(|error| damaged(error.to_string()))?;
            all.push(Kept { kind, name: message.name, version: message.version, body: any.value });
        }
        Ok(all)
    }

    /// Replaces what was kept.
    pub fn save(&self, serving: &[(Kind, Arc<str>, Arc<Good>)]) -> io::Result<()> {
        let mut body = Vec::new();
        for (kind, name, good) in serving {
            let value = good.body.as_deref().unwrap_or_default().to_vec();
            let resource = Some(Any { type_url: kind.type_url().to_owned(), value });
            let version = good.version.as_str().to_owned();
            let message = Message { name: name.to_string(), version, resource, ..Message::default() };
            message.encode_length_delimited(&mut body).map_err(io::Error::other)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let draft = self.directory.join(DRAFT);
        // A draft that was left behind may be readable by others.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{MAGIC} {FORMAT} {} {} {}", self.node, body.len(), checksum(&body))?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&draft, self.directory.join(FILE))
    }
}

/// FNV-1a of 64 bits: against damage, not against anyone who may write the file.
fn checksum(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
