//! The endpoint's side: connections to endpoints, and what comes back on them.

use std::{io, net::SocketAddr};

use byrnie_balance::Resource;
use byrnie_config::{Fields, Keepalive, ResponseHead, Version};
use byrnie_http1 as http1;
use byrnie_http2 as http2;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{
    Loop,
    accept::tcp_keepalive,
    client::{Client, Codec, Http1, Http2, Unsent},
    conn::{Broken, Conn, Role},
    exchange::Up,
    keys::Key,
    message,
    pool::Lane,
    reason::Reason,
    request::Failure,
};

impl Loop {
    /// A connection of the lane that takes a request now.
    pub fn ready_connection(&mut self, endpoint: Key, lane: Lane) -> Option<Key> {
        let connections = self.pools.endpoints.get_mut(endpoint)?.lane(lane);
        for conn in &connections.shared {
            if let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(*conn)
                && let Codec::Http2(http2) = &client.codec
                && http2.core.can_open()
            {
                return Some(*conn);
            }
        }
        connections.idle.pop()
    }

    /// A connection that has refused a request is not asked again.
    pub fn set_aside(&mut self, endpoint: Key, lane: Lane, conn: Key) {
        if let Some(endpoint) = self.pools.endpoints.get_mut(endpoint) {
            endpoint.forget(lane, conn);
        }
        match self.client(conn).map(|client| &client.codec) {
            Some(Codec::Http2(http2)) if http2.core.active_streams() > 0 => {}
            _ => self.close(conn),
        }
    }

    /// Makes connections for those that wait: one for all where they can share it.
    pub fn connect_for_waiting(&mut self, key: Key, lane: Lane) {
        loop {
            let Some(endpoint) = self.pools.endpoints.get_mut(key) else { return };
            let one_each = lane == Lane::Http1 || (lane == Lane::Agreed && endpoint.agreed == Some(Version::Http1));
            let breakers = endpoint.upstream.breakers.clone();
            let connections = endpoint.lane(lane);
            let none_open = connections.open == 0;
            let wanted = if one_each { connections.waiting.len() } else { connections.waiting.len().min(1) };
            if connections.connecting.len() >= wanted {
                return;
            }
            if !breakers.acquire(Resource::Connections) {
                if !none_open {
                    return;
                }
                breakers.acquire_anyway(Resource::Connections);
            }
            if let Err(error) = self.connect(key, lane) {
                breakers.release(Resource::Connections);
                tracing::debug!(%error, "cannot connect");
                return self.fail_waiting(key, lane);
            }
        }
    }

    fn connect(&mut self, key: Key, lane: Lane) -> io::Result<()> {
        let Some(endpoint) = self.pools.endpoints.get(key) else { return Ok(()) };
        let cluster = endpoint.upstream.cluster.clone();
        let stream = connect(endpoint.address, &cluster.bind, cluster.keepalive)?;
        let address = endpoint.address;
        let client = Client { host: key, lane, codec: Codec::Connecting, gone: false, requests: 0 };
        let conn = self.open(stream, address, Role::Client(Box::new(client)));
        let Some(conn) = conn else { return Err(io::Error::other("the socket could not be watched")) };
        if let Some(conn) = self.conns.get_mut(conn) {
            // It says so when it is connected.
            (conn.writable, conn.readable) = (false, false);
        }
        if let Some(endpoint) = self.pools.endpoints.get_mut(key) {
            endpoint.open += 1;
            endpoint.lane(lane).open += 1;
            endpoint.lane(lane).connecting.push(conn);
            if let Some(host) = &endpoint.host {
                host.open_connection();
            }
        }
        self.set_deadline(conn, cluster.connect_timeout);
        Ok(())
    }

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
        tls: &std::sync::Arc<byrnie_config::UpstreamTls>,
        offers: Option<&[Box<[u8]>]>,
    ) -> Result<(), String> {
        let context = self.shared.tls.client(tls).map_err(|error| error.to_string())?;
        let session = context.connect(address, offers).map_err(|error| error.to_string())?;
        let Some(conn) = self.conns.get_mut(key) else { return Ok(()) };
        conn.start(session).map_err(|error| error.to_string())
    }

    /// What the chain that the waiting request came through offers in place of the cluster.
    fn offers_of(&self, host: Key, conn: Key) -> Option<std::sync::Arc<[Box<[u8]>]>> {
        let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(conn) else { return None };
        let endpoint = self.pools.endpoints.get(host)?;
        let first = endpoint.lanes[client.lane as usize].waiting.front()?;
        self.exchanges.get(*first)?.front.offers.clone()
    }

    /// A connection is ready for requests.
    fn established(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let alpn = conn.session.as_ref().and_then(|session| session.alpn().map(<[u8]>::to_vec));
        let Role::Client(client) = &mut conn.role else { return };
        let version = match (client.lane, alpn.as_deref()) {
            (Lane::Http2, _) | (Lane::Agreed, Some(b"h2")) => Version::Http2,
            (Lane::Http1 | Lane::Agreed, _) => Version::Http1,
        };
        client.codec = match version {
            Version::Http1 => Codec::Http1(Http1::new(http1::Limits::default())),
            Version::Http2 => Codec::Http2(Http2::new(http2::Config::default())),
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

    /// Gives requests that wait to connections that take them.
    fn serve_waiting(&mut self, endpoint: Key, lane: Lane) {
        loop {
            let Some(entry) = self.pools.endpoints.get_mut(endpoint) else { return };
            let Some(exchange) = entry.lane(lane).waiting.front().copied() else { return };
            let Some(conn) = self.ready_connection(endpoint, lane) else { break };
            let Some(entry) = self.pools.endpoints.get_mut(endpoint) else { return };
            entry.lane(lane).waiting.pop_front();
            entry.upstream.breakers.release(Resource::Pending);
            if let Some(exchange) = self.exchanges.get_mut(exchange) {
                exchange.up = Up::None;
            }
            match self.send(exchange, endpoint, conn) {
                Ok(()) => {}
                Err(Unsent::Request) => {
                    self.put_back(conn);
                    self.reply(exchange, Reason::BadRequest);
                }
                Err(unsent) => {
                    if matches!(unsent, Unsent::Connection) {
                        self.set_aside(endpoint, lane, conn);
                    }
                    let Some(entry) = self.pools.endpoints.get_mut(endpoint) else { return };
                    entry.upstream.breakers.acquire_anyway(Resource::Pending);
                    entry.lane(lane).waiting.push_front(exchange);
                    if let Some(exchange) = self.exchanges.get_mut(exchange) {
                        exchange.up = Up::Waiting { endpoint, lane };
                    }
                    if matches!(unsent, Unsent::Now) {
                        return;
                    }
                }
            }
        }
        self.connect_for_waiting(endpoint, lane);
    }

    /// A connection may take another request.
    pub fn is_free(&mut self, key: Key) {
        let Some(client) = self.client(key) else { return };
        if client.gone {
            return;
        }
        let (host, lane) = (client.host, client.lane);
        let (is_http1, is_empty) = match &client.codec {
            Codec::Connecting => return,
            Codec::Http1(_) => (true, true),
            Codec::Http2(http2) => (false, http2.core.active_streams() == 0),
        };
        let over = client.is_over() || matches!(&client.codec, Codec::Http2(http2) if http2.core.is_closing());
        let Some(endpoint) = self.pools.endpoints.get_mut(host) else { return };
        if over || endpoint.retired {
            endpoint.forget(lane, key);
            if is_empty {
                self.close_when_written(key);
            }
            return;
        }
        if is_http1 {
            endpoint.lane(lane).idle.push(key);
        }
        if !endpoint.lane(lane).waiting.is_empty() {
            self.serve_waiting(host, lane);
        }
    }

    /// A connection was not given a request after all.
    pub fn put_back(&mut self, key: Key) {
        let Some(Client { host, lane, codec: Codec::Http1(_), .. }) = self.client(key) else { return };
        let (host, lane) = (*host, *lane);
        if let Some(endpoint) = self.pools.endpoints.get_mut(host) {
            endpoint.lane(lane).idle.push(key);
        }
    }

    /// A connection gets no request any more, and ends with the last that it has.
    pub fn leave_pool(&mut self, key: Key) {
        let Some(client) = self.client(key) else { return };
        client.gone = true;
        let (host, lane) = (client.host, client.lane);
        if let Some(endpoint) = self.pools.endpoints.get_mut(host) {
            endpoint.forget(lane, key);
        }
        self.close_when_written(key);
    }

    /// Endpoints that left their cluster, or changed what they are: what runs is finished, nothing new begins.
    pub fn retire(&mut self, endpoints: Vec<Key>) {
        for key in endpoints {
            let Some(endpoint) = self.pools.endpoints.get_mut(key) else { continue };
            endpoint.retired = true;
            let mut waiting = Vec::new();
            let mut conns = Vec::new();
            for lane in &mut endpoint.lanes {
                waiting.extend(lane.waiting.iter().copied());
                conns.append(&mut lane.idle);
                conns.append(&mut lane.shared);
                conns.append(&mut lane.connecting);
            }
            // They were not sent: another endpoint takes them, without counting as a retry.
            for exchange in waiting {
                self.end_try(exchange);
                if let Some(entry) = self.exchanges.get_mut(exchange) {
                    entry.up = Up::None;
                    entry.tries = entry.tries.saturating_sub(1);
                }
                self.attempt(exchange);
            }
            for conn in conns {
                let active = match self.client(conn).map(|client| &mut client.codec) {
                    Some(Codec::Http2(http2)) => {
                        http2.core.drain();
                        http2.core.active_streams() > 0
                    }
                    _ => false,
                };
                if active { self.mark(conn) } else { self.close_when_written(conn) }
            }
            self.drop_retired(key);
        }
    }

    pub fn drop_retired(&mut self, key: Key) {
        if self.pools.endpoints.get(key).is_some_and(|endpoint| endpoint.retired && endpoint.open == 0) {
            self.pools.endpoints.remove(key);
        }
    }

    /// A connection was taken out: what counted it does so no more.
    pub fn forget(&mut self, key: Key, conn: &Conn) {
        match &conn.role {
            Role::Client(client) => {
                let (host, lane) = (client.host, client.lane);
                for exchange in client.exchanges() {
                    self.try_failed(exchange, Failure::Closed);
                }
                let Some(endpoint) = self.pools.endpoints.get_mut(host) else { return };
                endpoint.forget(lane, key);
                endpoint.open = endpoint.open.saturating_sub(1);
                endpoint.lane(lane).open = endpoint.lane(lane).open.saturating_sub(1);
                endpoint.upstream.breakers.release(Resource::Connections);
                if let Some(host) = &endpoint.host {
                    host.close_connection();
                }
                // Those that wait may have waited for its end.
                self.connect_for_waiting(host, lane);
                self.drop_retired(host);
            }
            Role::Server(server) => {
                for exchange in server.exchanges() {
                    self.abandon(exchange, Reason::ClientGone);
                }
            }
            Role::Tunnel(tunnel) => {
                self.record_closed(conn, tunnel);
                self.forget_tunnel(tunnel);
            }
            Role::Inspecting(_) | Role::Done => {}
        }
    }

    /// A connection to an endpoint failed, or ended.
    pub fn endpoint_gone(&mut self, key: Key, broken: &Broken) {
        let Some(client) = self.client(key) else { return };
        client.gone = true;
        let (host, lane) = (client.host, client.lane);
        let (exchanges, connects) = (client.exchanges(), matches!(client.codec, Codec::Connecting));
        let failure = match broken {
            // A peer that does not accept who we are says so by an alert, which may come after the first request.
            Broken::Socket(_) | Broken::Tls(_) => Failure::Closed,
            Broken::Protocol(_) => Failure::Malformed,
        };
        // What was told to the endpoint before goes out, such as why.
        if let Some(conn) = self.conns.get_mut(key) {
            let _ = conn.write(&mut Vec::new());
        }
        if let Some(endpoint) = self.pools.endpoints.get_mut(host) {
            endpoint.forget(lane, key);
        }
        for exchange in exchanges {
            self.try_failed(exchange, failure);
        }
        if connects {
            if let Some(endpoint) = self.pools.endpoints.get(host) {
                tracing::debug!(address = %endpoint.address, error = %broken, "no connection to the endpoint");
            }
            self.fail_waiting(host, lane);
        }
        self.close(key);
    }

    /// No connection could be made: whoever waits for one goes elsewhere.
    fn fail_waiting(&mut self, host: Key, lane: Lane) {
        let Some(endpoint) = self.pools.endpoints.get_mut(host) else { return };
        let waiting: Vec<Key> = endpoint.lane(lane).waiting.iter().copied().collect();
        for (place, exchange) in waiting.into_iter().enumerate() {
            // One connection failed, so the endpoint is to blame once.
            if place > 0 {
                self.end_try(exchange);
            }
            self.try_failed(exchange, Failure::Connect);
        }
    }

    /// `connect_timeout`.
    pub fn connect_is_due(&mut self, key: Key) {
        self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::TimedOut.into()));
    }

    /// There is room in the connection to an endpoint: requests that waited for it go on.
    pub fn refill_endpoint(&mut self, key: Key) {
        loop {
            let exchange = match self.client(key).map(|client| &mut client.codec) {
                Some(Codec::Http1(http1)) => {
                    if let Some(exchange) = http1.exchange {
                        self.pump_request(exchange);
                    }
                    return;
                }
                Some(Codec::Http2(http2)) => match http2.core.next_writable() {
                    Some(stream) => http2.streams.get(stream),
                    None => return,
                },
                Some(Codec::Connecting) | None => return,
            };
            if let Some(exchange) = exchange {
                self.pump_request(exchange);
            }
        }
    }

    /// Takes responses off the front of `input`.
    pub fn read_responses(
        &mut self,
        key: Key,
        input: &mut &[u8],
        fields: &mut http2::Fields,
        response: &mut ResponseHead,
    ) {
        let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(key) else { return };
        if matches!(client.codec, Codec::Connecting) {
            if self.conns.get(key).is_some_and(|conn| conn.session.is_some() && conn.is_secured()) {
                self.established(key);
            } else if self.conns.get(key).is_some_and(|conn| conn.ended) {
                return self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        match self.client(key).map(|client| &client.codec) {
            Some(Codec::Http1(_)) => self.read_responses_http1(key, input, response),
            Some(Codec::Http2(_)) => self.read_responses_http2(key, input, fields, response),
            Some(Codec::Connecting) | None => {}
        }
        if self.conns.get(key).is_some_and(|conn| conn.ended && !conn.paused) {
            self.responses_ended(key);
        }
    }

    fn read_responses_http1(&mut self, key: Key, input: &mut &[u8], response: &mut ResponseHead) {
        loop {
            let Some(conn) = self.conns.get_mut(key) else { return };
            let Conn { paused: false, role: Role::Client(client), .. } = conn else { return };
            let Codec::Http1(http1) = &mut client.codec else { return };
            let exchange = http1.exchange;
            let mut space = http1::Space::new();
            let event = match (http1.core.receive(input, &mut space), exchange) {
                (Ok(None), _) => return,
                (Ok(Some(event)), Some(exchange)) => (event, exchange),
                (Ok(Some(_)), None) => continue,
                (Err(error), _) => return self.endpoint_gone(key, &Broken::Protocol(error.to_string())),
            };
            match event {
                (http1::client::Event::Informational(head), exchange) => {
                    message::read_response_http1(&head, response);
                    self.inform(exchange, response);
                }
                (http1::client::Event::Response(head), exchange) => {
                    let length = message::read_response_http1(&head, response);
                    let end = matches!(head.body(), http1::BodyLength::None | http1::BodyLength::Sized(0));
                    self.response_head(exchange, response, length, end);
                }
                (http1::client::Event::Data(octets), exchange) => self.response_octets(exchange, octets),
                (http1::client::Event::Trailers(trailers), exchange) => {
                    let mut fields = Box::<Fields>::default();
                    trailers.iter().for_each(|(name, value)| fields.push(name, value));
                    self.response_ended(exchange, Some(fields));
                }
                (http1::client::Event::End, exchange) => self.response_ended(exchange, None),
            }
        }
    }

    fn read_responses_http2(
        &mut self,
        key: Key,
        input: &mut &[u8],
        fields: &mut http2::Fields,
        response: &mut ResponseHead,
    ) {
        loop {
            let Some(Client { codec: Codec::Http2(http2), .. }) = self.client(key) else { return };
            let event = match http2.core.receive(input, fields) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return self.endpoint_gone(key, &Broken::Protocol(error.to_string())),
            };
            match event {
                http2::Event::Interim { stream, head } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        message::read_response_http2(&head, false, response);
                        self.inform(exchange, response);
                    }
                }
                http2::Event::Response { stream, head, end } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        let length = message::read_response_http2(&head, end, response);
                        self.response_head(exchange, response, length, end);
                        if end {
                            self.response_ended(exchange, None);
                        }
                    }
                }
                http2::Event::Data { stream, bytes, end } => match http2.streams.get(stream) {
                    Some(exchange) => {
                        self.response_octets(exchange, bytes);
                        if end {
                            self.response_ended(exchange, None);
                        }
                    }
                    None => http2.core.release(stream, bytes.len()),
                },
                http2::Event::Trailers { stream, fields } => {
                    if let Some(exchange) = http2.streams.get(stream) {
                        let mut trailers = Box::<Fields>::default();
                        fields.iter().for_each(|field| trailers.push(field.name, field.value));
                        self.response_ended(exchange, Some(trailers));
                    }
                }
                http2::Event::Reset { stream, code, cause } => {
                    let exchange = http2.streams.get(stream);
                    http2.streams.remove(stream);
                    if let Some(exchange) = exchange {
                        let failure = match cause {
                            _ if cause.is_unprocessed(code) => Failure::Refused,
                            http2::Cause::Violation(_) => Failure::Malformed,
                            _ => Failure::Reset,
                        };
                        self.try_failed(exchange, failure);
                    }
                }
                http2::Event::GoAway { .. } => {
                    let (host, lane) = match self.client(key) {
                        Some(client) => (client.host, client.lane),
                        None => return,
                    };
                    if let Some(endpoint) = self.pools.endpoints.get_mut(host) {
                        endpoint.forget(lane, key);
                    }
                }
                http2::Event::Settings => {
                    http2.settled = true;
                    if let Some(client) = self.client(key) {
                        let (host, lane) = (client.host, client.lane);
                        self.serve_waiting(host, lane);
                    }
                }
                _ => {}
            }
        }
        self.refill_endpoint(key);
        self.mark(key);
        if self.client(key).is_some_and(|client| client.is_over()) {
            self.close_when_written(key);
        }
    }

    /// The endpoint closed its side.
    fn responses_ended(&mut self, key: Key) {
        let Some(client) = self.client(key) else { return };
        if let Codec::Http1(http1) = &mut client.codec
            && let Some(exchange) = http1.exchange
            && let Ok(Some(_)) = http1.core.end_of_input()
        {
            return self.response_ended(exchange, None);
        }
        self.endpoint_gone(key, &Broken::Socket(io::ErrorKind::UnexpectedEof.into()));
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
