//! One case: bytes and what they are to mean.

/// Bytes from a peer, and the one answer to them.
#[derive(Debug)]
pub struct Case {
    /// File and line.
    pub place: String,
    pub name: String,
    pub role: Role,
    pub send: Vec<u8>,
    pub messages: Vec<Message>,
    pub end: End,
}

/// Who sends the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client.
    Request,
    /// A server that was sent one request with this method.
    ResponseTo(String),
    /// A server that was sent a request that asks for an upgrade.
    ResponseToUpgrade,
    /// A server that was sent nothing.
    Unasked,
}

/// A message that is delivered whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// `METHOD TARGET` or `STATUS`.
    pub start: String,
    pub authority: Option<String>,
    pub body: Vec<u8>,
    /// `name: value`, the name in lower case.
    pub trailers: Vec<String>,
    /// Names in lower case of fields that go on to the next hop.
    pub keeps: Vec<String>,
    /// Names of those that do not.
    pub drops: Vec<String>,
}

/// What comes after the last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Idle,
    Closed,
    Waits,
    Tunnel(Vec<u8>),
    Refused { status: Option<u16>, rule: String },
}
