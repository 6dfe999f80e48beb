//! Heads of messages as routing reads and edits them: owned, flat, names in lower case.
//!
//! One head is two vectors that are used again, so that reading a message into it allocates nothing once both have
//! grown. What is replaced stays behind as dead octets until [`Fields::clear`]: edits are few.

use std::ops::Range;

/// The fields of a head in their order. Names are lower case; hop-by-hop fields are not among them.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    list: Vec<Entry>,
}

/// Where a field stands: the value follows the name.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name: u32,
    value: u32,
}

/// Where a text stands in the octets of [`Fields`].
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

impl Fields {
    /// None.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, as name and value.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.list.iter().map(|entry| self.at(*entry))
    }

    /// The first value of `name` (lower case).
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All values of `name` (lower case).
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// One more at the end; the name is put into lower case.
    #[inline]
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let entry = self.write(name, value);
        self.list.push(entry);
    }

    /// `name` (lower case) has this value alone, where its first one stood or at the end.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.list.iter().position(|entry| self.name(*entry) == name) else {
            return self.push(name, value);
        };
        self.list[first] = self.write(name, value);
        let (bytes, mut at) = (&self.bytes, 0);
        self.list.retain(|entry| {
            at += 1;
            at - 1 <= first || &bytes[entry.start as usize..][..entry.name as usize] != name
        });
    }

    /// All of `name` (lower case) go. Whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.remove_where(|known| known == name)
    }

    /// All whose name is wanted gone go. Whether there was one.
    pub fn remove_where(&mut self, mut gone: impl FnMut(&[u8]) -> bool) -> bool {
        let (bytes, before) = (&self.bytes, self.list.len());
        self.list.retain(|entry| !gone(&bytes[entry.start as usize..][..entry.name as usize]));
        self.list.len() < before
    }

    /// Octets of names and values.
    pub fn octets(&self) -> usize {
        self.list.iter().map(|entry| (entry.name + entry.value) as usize).sum()
    }

    /// Octets on the heap.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.list.capacity() * size_of::<Entry>()
    }

    #[inline]
    fn write(&mut self, name: &[u8], value: &[u8]) -> Entry {
        let start = self.bytes.len();
        self.bytes.reserve(name.len() + value.len());
        self.bytes.extend_from_slice(name);
        self.bytes[start..].make_ascii_lowercase();
        self.bytes.extend_from_slice(value);
        Entry { start: place(start), name: place(name.len()), value: place(value.len()) }
    }

    #[inline]
    fn name(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..entry.name as usize]
    }

    #[inline]
    fn at(&self, entry: Entry) -> (&[u8], &[u8]) {
        self.bytes[entry.start as usize..][..(entry.name + entry.value) as usize].split_at(entry.name as usize)
    }

    fn keep(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        Span { start: place(start), len: place(text.len()) }
    }

    fn text(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }
}

/// Heads are bounded far below 4 GiB by the limits of the protocol cores.
#[inline]
fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a head is smaller than 4 GiB")
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// The head of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    fields: Fields,
    method: Span,
    scheme: Span,
    authority: Span,
    path: Span,
    upgrade: Option<Span>,
}

impl RequestHead {
    /// Begins a head anew. `authority` is empty where the request has none; `path` includes the query.
    #[inline]
    pub fn begin(&mut self, method: &[u8], scheme: &[u8], authority: &[u8], path: &[u8]) {
        self.fields.clear();
        self.upgrade = None;
        self.method = self.fields.keep(method);
        self.scheme = self.fields.keep(scheme);
        self.authority = self.fields.keep(authority);
        self.path = self.fields.keep(path);
    }

    /// The same as `other`, in the room that is there.
    pub fn copy_from(&mut self, other: &Self) {
        self.fields.bytes.clone_from(&other.fields.bytes);
        self.fields.list.clone_from(&other.fields.list);
        let Self { method, scheme, authority, path, upgrade, .. } = other;
        (self.method, self.scheme, self.authority) = (*method, *scheme, *authority);
        (self.path, self.upgrade) = (*path, *upgrade);
    }

    /// The method. An extended CONNECT (RFC 8441) is the GET with an upgrade that it stands for.
    pub fn method(&self) -> &[u8] {
        self.fields.text(self.method)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &[u8] {
        self.fields.text(self.scheme)
    }

    /// Host or `:authority`, maybe empty.
    pub fn authority(&self) -> &[u8] {
        self.fields.text(self.authority)
    }

    /// Path and query.
    pub fn path(&self) -> &[u8] {
        self.fields.text(self.path)
    }

    /// The protocol that the client wants to go on with, `websocket`.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|upgrade| self.fields.text(upgrade))
    }

    /// Whether it is a gRPC call, as Envoy tells it: `application/grpc`, maybe with a `+` and more; neither
    /// `application/grpc-web` nor one with parameters.
    pub fn is_grpc(&self) -> bool {
        let rest = self.fields.get(b"content-type").and_then(|kind| kind.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }

    /// Everything else.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Everything else, to be edited.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// Another path and query.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path = self.fields.keep(path);
    }

    /// Another host.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.fields.keep(authority);
    }

    /// The protocol that the client wants to go on with.
    pub fn set_upgrade(&mut self, protocol: &[u8]) {
        self.upgrade = Some(self.fields.keep(protocol));
    }

    /// The value of a field or of `:method`, `:scheme`, `:authority`, `:path`, by its lower-case name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match name {
            b":method" => Some(self.method()),
            b":scheme" => Some(self.scheme()),
            b":authority" => Some(self.authority()).filter(|authority| !authority.is_empty()),
            b":path" => Some(self.path()),
            _ => self.fields.get(name),
        }
    }
}

impl PartialEq for RequestHead {
    fn eq(&self, other: &Self) -> bool {
        let parts = |head: &Self| [head.method(), head.scheme(), head.authority(), head.path()].map(<[u8]>::to_vec);
        parts(self) == parts(other) && self.upgrade() == other.upgrade() && self.fields == other.fields
    }
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Begins a head anew.
    #[inline]
    pub fn begin(&mut self, status: u16) {
        self.status = status;
        self.fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fields: &Fields) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn edits_keep_the_order_of_what_stays() {
        let mut fields = Fields::default();
        for (name, value) in [("A", "1"), ("b", "2"), ("a", "3"), ("c", "")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(fields.all(b"a").count(), 2);
        fields.set(b"a", b"4");
        fields.set(b"d", b"5");
        assert_eq!(listed(&fields), [("a", "4"), ("b", "2"), ("c", ""), ("d", "5")]);
        assert!(fields.remove(b"b") && !fields.remove(b"b"));
        assert_eq!(listed(&fields), [("a", "4"), ("c", ""), ("d", "5")]);
        assert_eq!(fields.octets(), 5);
    }

    #[test]
    fn a_head_is_used_again_without_a_trace_of_the_last_message() {
        let mut head = RequestHead::default();
        head.begin(b"GET", b"http", b"cart", b"/a?b");
        head.set_upgrade(b"websocket");
        head.fields_mut().push(b"X", b"y");
        head.set_path(b"/longer/than/before");
        assert_eq!(head.get(b":path"), Some(&b"/longer/than/before"[..]));
        assert_eq!((head.method(), head.get(b"x")), (&b"GET"[..], Some(&b"y"[..])));
        head.begin(b"POST", b"http", b"", b"/");
        assert_eq!((head.upgrade(), head.get(b"x"), head.get(b":authority")), (None, None, None));
    }
}
