use std::{fmt, sync::Arc};

use byrnie_model::{ObjectKind, ObjectRef, Origin};
use byrnie_proto::Kind;
use bytes::Bytes;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

/// One xDS resource, encoded once; all streams share its bytes.
#[derive(Clone)]
pub struct Resource {
    kind: Kind,
    name: Arc<str>,
    version: Version,
    body: Bytes,
    refers: Box<[Reference]>,
    origins: Box<[Origin]>,
}

/// A hash of a resource's bytes: the same on every replica and after a restart. Never empty on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// Another resource that a resource names, and that has to be there first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
}

impl Resource {
    /// Encodes `message` as the resource `name`.
    pub fn new(kind: Kind, name: impl Into<Arc<str>>, message: &impl Message) -> Self {
        let body = Bytes::from(message.encode_to_vec());
        let version = Version(xxh3_64(&body));
        Self { kind, name: name.into(), version, body, refers: Box::default(), origins: Box::default() }
    }

    /// With what it refers to, sorted, once each.
    pub fn referring(mut self, refers: impl IntoIterator<Item = Reference>) -> Self {
        let mut refers: Vec<_> = refers.into_iter().collect();
        refers.sort_unstable();
        refers.dedup();
        self.refers = refers.into();
        self
    }

    /// With the objects that it was made from.
    pub fn from_origins(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.origins = origins.into_iter().collect();
        self
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The version of its content.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The encoded message: `google.protobuf.Any.value`.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What it refers to, sorted.
    pub fn refers(&self) -> &[Reference] {
        &self.refers
    }

    /// The objects that it was made from: a NACK is shown on them.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Those of them that users write for the mesh and want to see at work: routes, policies, the mesh's settings.
    /// Services and Pods are left out: everything comes from them.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        use ObjectKind::{GRPCRoute, HTTPRoute, MeshConfig, PeerPolicy, TrafficPolicy};
        let objects = self.origins.iter().map(|origin| &origin.object);
        objects.filter(|o| matches!(o.kind, HTTPRoute | GRPCRoute | TrafficPolicy | PeerPolicy | MeshConfig))
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
            && self.name == other.name
            && self.kind == other.kind
            && self.origins == other.origins
    }
}

/// Without the body: that of a secret holds a key.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ({} bytes)", self.kind, self.name, self.version, self.body.len())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Version {
    /// The version of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }

    /// As it stands on the wire: 16 hexadecimal digits. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}
