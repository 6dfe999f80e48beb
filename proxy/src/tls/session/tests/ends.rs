//! Ends of a connection for tests, ours and rustls' with buffers, and what joins them.

use std::io::{Read, Write};

use super::*;

pub const ENDPOINT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 8080);
pub const HOUR: Duration = Duration::from_secs(3600);

/// Two workloads: `front` calls `cart`.
pub struct Mesh {
    pub authority: Authority,
    pub front: Contexts,
    pub cart: Contexts,
    pub front_identity: Arc<Current>,
    pub cart_identity: Arc<Current>,
    pub upstream: Arc<UpstreamTls>,
    pub downstream: Arc<DownstreamTls>,
}

impl Mesh {
    pub fn new() -> Self {
        let authority = Authority::new();
        let [front, cart] = [FRONT, CART].map(|uri| authority.identity(uri, HOUR));
        Self::with(authority, front, cart)
    }

    pub fn with(authority: Authority, front: Identity, cart: Identity) -> Self {
        let [front_identity, cart_identity] = [front, cart].map(|identity| {
            let current = Current::new();
            current.publish(identity);
            Arc::new(current)
        });
        Self {
            authority,
            front: Contexts::new(Arc::clone(&front_identity)),
            cart: Contexts::new(Arc::clone(&cart_identity)),
            front_identity,
            cart_identity,
            upstream: upstream(PeerName::Exact(CART.into())),
            downstream: downstream(PeerName::Prefix("spiffe://cluster.local/".into())),
        }
    }

    pub fn client(&self) -> End {
        End::new(self.front.client(&self.upstream).unwrap().connect(ENDPOINT, None).unwrap())
    }

    pub fn server(&self) -> End {
        End::new(self.cart.server(&self.downstream).unwrap().accept(None).unwrap())
    }

    /// rustls' own client, which puts at most `fragment` octets into a record.
    pub fn buffered_client(&self, fragment: Option<usize>) -> Buffered<ClientConnection> {
        let mut config = ClientConfig::clone(&self.front.client(&self.upstream).unwrap().config(ENDPOINT));
        config.max_fragment_size = fragment;
        Buffered::new(ClientConnection::new(Arc::new(config), "cart.shop".try_into().unwrap()).unwrap())
    }

    pub fn buffered_server(&self, fragment: Option<usize>) -> Buffered<ServerConnection> {
        let mut config = ServerConfig::clone(self.cart.server(&self.downstream).unwrap().config());
        config.max_fragment_size = fragment;
        Buffered::new(ServerConnection::new(Arc::new(config)).unwrap())
    }
}

pub fn upstream(peer: PeerName) -> Arc<UpstreamTls> {
    let alpn = ["byrnie-http", "h2", "http/1.1"].map(|protocol| protocol.as_bytes().into()).to_vec();
    Arc::new(UpstreamTls { server_name: Some("p80.cart.shop".into()), alpn, peers: vec![peer] })
}

pub fn downstream(peer: PeerName) -> Arc<DownstreamTls> {
    let alpn = ["h2", "http/1.1"].map(|protocol| protocol.as_bytes().into()).to_vec();
    Arc::new(DownstreamTls { alpn, peers: vec![peer] })
}

/// One end of a connection.
pub trait Side {
    fn receive(&mut self, octets: &[u8]);
    fn sent(&mut self) -> Vec<u8>;
    fn send(&mut self, data: &[u8]);
    fn got(&self) -> &[u8];
    fn is_established(&self) -> bool;
}

/// Ours, with what its event loop would keep.
pub struct End {
    pub session: Session,
    pub unread: Vec<u8>,
    pub got: Vec<u8>,
    pub out: Vec<u8>,
    pub ended: bool,
    pub error: Option<Error>,
}

impl End {
    pub fn new(session: Session) -> Self {
        Self { session, unread: Vec::new(), got: Vec::new(), out: Vec::new(), ended: false, error: None }
    }

    pub fn peer(&self) -> &Peer {
        self.session.peer().unwrap()
    }
}

impl Side for End {
    fn receive(&mut self, octets: &[u8]) {
        let mut input = mem::take(&mut self.unread);
        input.extend_from_slice(octets);
        match self.session.receive(&mut input, |octets| self.got.extend_from_slice(octets), &mut self.out) {
            Ok(progress) => {
                self.unread = input[progress.consumed..].to_vec();
                self.ended = progress.ended;
            }
            // The first one: an alert of the peer may follow.
            Err(error) => _ = self.error.get_or_insert(error),
        }
    }

    fn sent(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    fn send(&mut self, data: &[u8]) {
        self.session.seal(data, &mut self.out).unwrap();
    }

    fn got(&self) -> &[u8] {
        &self.got
    }

    fn is_established(&self) -> bool {
        self.session.is_established()
    }
}

/// rustls' own.
pub struct Buffered<C>(pub C, Vec<u8>);

impl<C> Buffered<C> {
    pub fn new(connection: C) -> Self {
        Self(connection, Vec::new())
    }
}

impl<C, D> Side for Buffered<C>
where
    C: std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    D: rustls::SideData,
{
    fn receive(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            self.0.read_tls(&mut octets).unwrap();
            let state = self.0.process_new_packets().unwrap();
            let start = self.1.len();
            self.1.resize(start + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut self.1[start..]).unwrap();
        }
    }

    fn sent(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut octets).unwrap();
        }
        octets
    }

    fn send(&mut self, data: &[u8]) {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(data).unwrap();
    }

    fn got(&self) -> &[u8] {
        &self.1
    }

    fn is_established(&self) -> bool {
        !CommonState::is_handshaking(&self.0)
    }
}

/// Carries what each end sends to the other, in the pieces that `cut` makes, until both are silent.
pub fn join(client: &mut impl Side, server: &mut impl Side, cut: &mut impl FnMut(usize) -> usize) {
    client.receive(&[]);
    loop {
        let (to_server, to_client) = (client.sent(), server.sent());
        if to_server.is_empty() && to_client.is_empty() {
            return;
        }
        deliver(&to_server, server, cut);
        deliver(&to_client, client, cut);
    }
}

fn deliver(mut octets: &[u8], to: &mut impl Side, cut: &mut impl FnMut(usize) -> usize) {
    while !octets.is_empty() {
        let (piece, rest) = octets.split_at(cut(octets.len()));
        to.receive(piece);
        octets = rest;
    }
}

/// Both, after their handshake.
pub fn joined(mut client: End, mut server: End) -> (End, End) {
    join(&mut client, &mut server, &mut |octets| octets);
    assert!(client.error.is_none() && server.error.is_none(), "{:?}, {:?}", client.error, server.error);
    (client, server)
}

/// A handshake, then messages of these lengths in both directions.
pub fn carry(
    client: &mut impl Side,
    server: &mut impl Side,
    cut: &mut impl FnMut(usize) -> usize,
    lengths: &[usize],
) -> Result<(), TestCaseError> {
    join(client, server, cut);
    prop_assert!(client.is_established() && server.is_established());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for (index, length) in lengths.iter().enumerate() {
        let message = vec![index as u8; *length];
        client.send(&message);
        up.extend_from_slice(&message);
        server.send(&message[length / 2..]);
        down.extend_from_slice(&message[length / 2..]);
        if index % 2 == 0 {
            join(client, server, cut);
        }
    }
    join(client, server, cut);
    prop_assert!(server.got() == up, "{} of {} octets", server.got().len(), up.len());
    prop_assert!(client.got() == down, "{} of {} octets", client.got().len(), down.len());
    Ok(())
}
