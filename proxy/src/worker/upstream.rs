//! Connections to endpoints: who gets one, who waits for one, and what becomes of both when one ends.

use std::io;

use byrnie_balance::Resource;
use byrnie_config::Version;

use super::{
    Loop,
    client::{Client, Codec, Unsent},
    conn::{Broken, Conn, Role},
    connect::connect,
    exchange::Up,
    keys::Key,
    pool::Lane,
    reason::Reason,
    retry::Failure,
    streams,
};

impl Loop {
    /// A connection of the lane that takes a request now.
    pub fn ready_connection(&mut self, endpoint: Key, lane: Lane) -> Option<Key> {
        let connections = self.pools.endpoints.get_mut(endpoint)?.lane(lane);
        for conn in &connections.shared {
            if let Some(Conn { role: Role::Client(client), .. }) = self.conns.get(*conn)
                && let Codec::Http2(http2) = &client.codec
                && http2.core.can_open()
                && http2.core.active_streams() < streams::MOST
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

    /// Gives requests that wait to connections that take them.
    pub fn serve_waiting(&mut self, endpoint: Key, lane: Lane) {
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
}
