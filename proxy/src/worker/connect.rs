//! From a socket that connects to a connection that takes requests or octets.

use std::{io, net::SocketAddr, sync::Arc};

use byrnie_config::{Keepalive, UpstreamTls, Version};
use byrnie_http1 as http1;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{
    Loop,
    accept::tcp_keepalive,
    client::{Codec, Http1, Http2},
    conn::{Broken, Conn, Role},
    keys::Key,
    pool::Lane,
    streams,
};

impl Loop {
    /// Whether the connect of a connection's socket is under way.
    pub fn is_connecting(&self, key: Key) -> bool {
        match self.conns.get(key) {
            Some(Conn { session: None, role: Role::Client(client), .. }) => matches!(client.codec, Codec::Connecting),
            Some(Conn { session: None, role: Role::Tunnel(tunnel), .. }) => tunnel.is_connecting(),
            _ => false,
        }
    }

    /// A socket says that its connect has come to an end. False where it has not, or failed.
    pub fn connected(&mut self, key: Key) -> bool {
        let Some(conn) = self.conns.get_mut(key) else { return false };
        if !conn.writable {
            return false;
        }
        if let Some(error) = conn.stream.take_error().ok().flatten() {
            self.broken(key, &error.into());
            return false;
        }
        if conn.stream.peer_addr().is_err() {
            conn.writable = false;
            return false;
        }
        match &conn.role {
            Role::Client(client) => {
                let host = client.host;
                let Some(endpoint) = self.pools.endpoints.get(host) else { return false };
                let (address, tls) = (endpoint.address, endpoint.tls.clone());
                let offers = self.offers_of(host, key);
                match tls {
                    None => self.established(key),
                    Some(tls) => match self.secure(key, address, &tls, offers.as_deref()) {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::warn!(%error, %address, "TLS cannot be started");
                            self.endpoint_gone(key, &Broken::Socket(io::Error::other(error)));
                            return false;
                        }
                    },
                }
            }
            Role::Tunnel(_) => return self.tunnel_connected(key),
            Role::Inspecting(_) | Role::Server(_) | Role::Done => {}
        }
        self.enqueue(key);
        true
    }

    /// Starts TLS as its client.
    pub fn secure(
        &mut self,
        key: Key,
        address: SocketAddr,
        tls: &Arc<UpstreamTls>,
        offers: Option<&[Box<[u8]>]>,
    ) -> Result<(), String> {
        let context = self.shared.tls.client(tls).map_err(|error| error.to_string())?;
        let session = context.connect(address, offers).map_err(|error| error.to_string())?;
        let Some(conn) = self.conns.get_mut(key) else { return Ok(()) };
        conn.start(session).map_err(|error| error.to_string())
    }

    /// What the chain that the waiting request came through offers in place of the cluster.
    pub fn offers_of(&self, host: Key, conn: Key) -> Option<Arc<[Box<[u8]>]>> {
        let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(conn) else { return None };
        let endpoint = self.pools.endpoints.get(host)?;
        let first = endpoint.lanes[client.lane as usize].waiting.front()?;
        self.exchanges.get(*first)?.front.offers.clone()
    }

    /// A connection is ready for requests.
    pub fn established(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let alpn = conn.session.as_ref().and_then(|session| session.alpn().map(<[u8]>::to_vec));
        let Role::Client(client) = &mut conn.role else { return };
        let version = match (client.lane, alpn.as_deref()) {
            (Lane::Http2, _) | (Lane::Agreed, Some(b"h2")) => Version::Http2,
            (Lane::Http1 | Lane::Agreed, _) => Version::Http1,
        };
        client.codec = match version {
            Version::Http1 => Codec::Http1(Http1::new(http1::Limits::default())),
            Version::Http2 => Codec::Http2(Http2::new(streams::settings())),
        };
        let (host, lane) = (client.host, client.lane);
        conn.deadline = None;
        if let Some(endpoint) = self.pools.endpoints.get_mut(host) {
            endpoint.agreed = Some(version);
            let connections = endpoint.lane(lane);
            connections.connecting.retain(|known| *known != key);
            match version {
                Version::Http1 => connections.idle.push(key),
                Version::Http2 => connections.shared.push(key),
            }
        }
        self.mark(key);
        self.serve_waiting(host, lane);
    }

    /// `connect_timeout`.
    pub fn connect_is_due(&mut self, key: Key) {
        self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::TimedOut.into()));
    }
}

/// A socket that is on its way to `address`, from the address of its family in `from`.
pub fn connect(address: SocketAddr, from: &[std::net::IpAddr], keepalive: Option<Keepalive>) -> io::Result<TcpStream> {
    let source = from.iter().find(|ip| ip.is_ipv4() == address.is_ipv4());
    let stream = match source {
        None => TcpStream::connect(address)?,
        Some(source) => {
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
            // The port is chosen with the destination, so that there are enough of them.
            let _ = socket.set_reuse_address(true);
            socket.bind(&SocketAddr::new(*source, 0).into())?;
            match socket.connect(&address.into()) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
            TcpStream::from_std(socket.into())
        }
    };
    let socket = SockRef::from(&stream);
    // Neither matters enough to lose a connection.
    let _ = socket.set_tcp_nodelay(true);
    if let Some(keepalive) = keepalive {
        let _ = socket.set_tcp_keepalive(&tcp_keepalive(keepalive));
    }
    Ok(stream)
}
