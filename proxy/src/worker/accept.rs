//! Where connections arrive: sockets that listen, one set a worker (SO_REUSEPORT), and what is accepted on them.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_config::{Keepalive, Listener};
use foldhash::fast::RandomState;
use mio::{
    Interest, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::{
    Loop,
    conn::{Inspecting, Role, Seeks},
    ends::Side,
    keys::Key,
};
use crate::shared::BindFailure;

/// Marks the tokens of sockets that listen.
const LISTENER: usize = 1 << 62;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 4096;

/// The names of listeners that are asked for: with the address behind it.
const ON_DEMAND: &str = "out/";

/// Between times at which it is said which of them are used. They are kept for some minutes.
const WANT: Duration = Duration::from_secs(60);

/// How long a connection waits for the control plane to say whether an address is in the mesh.
const DISCOVERY: Duration = Duration::from_secs(1);

/// Whether a token is that of a socket that listens.
pub fn is_listener(token: Token) -> bool {
    token.0 & LISTENER != 0
}

/// The sockets that listen.
pub struct Listening {
    sockets: HashMap<Token, Bound, RandomState>,
    next: usize,
    /// Connections that wait for the listener of the address that they called.
    waiting: Vec<Key>,
    /// Some connections were handed over, and when it was last said to which listeners.
    on_demand: bool,
    wanted: Instant,
}

impl Listening {
    /// On nothing.
    pub fn new(now: Instant) -> Self {
        Self { sockets: HashMap::default(), next: 0, waiting: Vec::new(), on_demand: false, wanted: now }
    }
}

struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    listener: Arc<Listener>,
}

impl Loop {
    /// Listens where the configuration says, and nowhere else. A socket stays while its address does.
    pub fn bind(&mut self) {
        let config = self.config.clone();
        let wanted = config.listeners.values().filter(|listener| listener.bind);
        let mut wanted: HashMap<SocketAddr, &Arc<Listener>, RandomState> =
            wanted.flat_map(|listener| listener.addresses.iter().map(move |address| (*address, listener))).collect();
        self.listening.sockets.retain(|_, bound| match wanted.remove(&bound.address) {
            Some(listener) => {
                bound.listener = listener.clone();
                true
            }
            None => false,
        });
        let mut failures = Vec::new();
        for (address, listener) in wanted {
            if let Err(error) = self.listen(address, listener) {
                tracing::warn!(%error, listener = %listener.name, %address, "cannot listen");
                failures.push(BindFailure { listener: listener.name.clone(), address, error: error.to_string() });
            }
        }
        self.shared.report_bound(self.index, config.generation, failures);
    }

    fn listen(&mut self, address: SocketAddr, listener: &Arc<Listener>) -> io::Result<()> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut socket = TcpListener::from_std(socket.into());
        let token = Token(LISTENER | self.listening.next);
        self.listening.next += 1;
        self.registry.register(&mut socket, token, Interest::READABLE)?;
        self.listening.sockets.insert(token, Bound { socket, address, listener: listener.clone() });
        Ok(())
    }

    /// Takes all connections that wait.
    pub fn accept(&mut self, token: Token) {
        loop {
            let Some(bound) = self.listening.sockets.get(&token) else { return };
            match bound.socket.accept() {
                Ok((stream, peer)) => {
                    let listener = bound.listener.clone();
                    self.busy = true;
                    self.accepted(stream, peer, listener);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                }
                Err(error) => {
                    // Out of descriptors, mostly: the next look of the housekeeping tries again.
                    tracing::warn!(%error, address = %bound.address, "accept failed");
                    self.busy = true;
                    return;
                }
            }
        }
    }

    /// Takes what waits since a time when nothing could be accepted.
    pub fn accept_late(&mut self) {
        for token in self.listening.sockets.keys().copied().collect::<Vec<_>>() {
            self.accept(token);
        }
    }

    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr, listener: Arc<Listener>) {
        let socket = SockRef::from(&stream);
        // Neither matters enough to lose a connection.
        let _ = socket.set_tcp_nodelay(true);
        if let Some(keepalive) = listener.keepalive {
            let _ = socket.set_tcp_keepalive(&tcp_keepalive(keepalive));
        }
        let Some(local) = stream.local_addr().ok() else { return };
        let redirected = listener.hands_over || listener.inspect.original_destination;
        let called = if redirected { original_destination(&stream).unwrap_or(local) } else { local };
        let seeks = if listener.hands_over && called != local { Seeks::Listener } else { Seeks::Chain };
        let inspecting = Inspecting { listener, called, seeks, early: true };
        let Some(key) = self.open(stream, peer, Role::Inspecting(Box::new(inspecting))) else { return };
        match seeks {
            Seeks::Chain => self.begin_inspection(key),
            Seeks::Listener => self.hand_over(key),
        }
    }

    /// Gives a redirected connection to the listener of the address that was called. Where none is known the control
    /// plane is asked, once, and the connection waits.
    fn hand_over(&mut self, key: Key) {
        let Some(inspecting) = self.inspecting(key) else { return };
        let name = format!("{ON_DEMAND}{}", inspecting.called);
        match self.config.listeners.get(&*name) {
            Some(listener) => {
                let listener = listener.clone();
                // It is not forgotten while it is used.
                (self.shared.want)(&name);
                self.listening.on_demand = true;
                self.handed(key, Some(listener));
            }
            None if self.config.absent.contains(&*name) => self.handed(key, None),
            None => {
                (self.shared.want)(&name);
                self.listening.waiting.push(key);
                self.set_deadline(key, DISCOVERY);
            }
        }
    }

    /// The control plane may have answered.
    pub fn hand_over_waiting(&mut self) {
        for key in std::mem::take(&mut self.listening.waiting) {
            let Some(inspecting) = self.inspecting(key) else { continue };
            let name = format!("{ON_DEMAND}{}", inspecting.called);
            if self.config.listeners.contains_key(&*name) || self.config.absent.contains(&*name) {
                self.hand_over(key);
            } else {
                self.listening.waiting.push(key);
            }
        }
    }

    /// Says which listeners are used that were asked for, so that the control plane goes on telling of them.
    pub fn want_again(&mut self) {
        self.busy |= self.listening.on_demand;
        if !self.listening.on_demand || self.now < self.listening.wanted + WANT {
            return;
        }
        let used = self.conns.iter().filter_map(|conn| match &conn.role {
            Role::Server(server) => Some(&server.front.listener),
            Role::Tunnel(tunnel) => match &tunnel.side {
                Side::Client(accepted) => Some(&accepted.listener),
                Side::Endpoint(_) => None,
            },
            Role::Inspecting(_) | Role::Client(_) | Role::Done => None,
        });
        let names: HashSet<&str> = used
            .filter(|listener| !listener.bind && listener.name.starts_with(ON_DEMAND))
            .map(|listener| &*listener.name)
            .collect();
        names.iter().for_each(|name| (self.shared.want)(name));
        self.listening.on_demand = !names.is_empty();
        self.listening.wanted = self.now;
    }

    /// Forgets those that do not wait any more.
    pub fn sweep_waiting(&mut self) {
        let conns = &self.conns;
        let seeks = |key: &Key| match conns.get(*key).map(|conn| &conn.role) {
            Some(Role::Inspecting(inspecting)) => inspecting.seeks == Seeks::Listener,
            _ => false,
        };
        self.listening.waiting.retain(seeks);
    }

    /// With the listener of the address, or (none) kept by the one that it arrived at.
    pub fn handed(&mut self, key: Key, listener: Option<Arc<Listener>>) {
        if let Some(conn) = self.conns.get_mut(key)
            && let Role::Inspecting(inspecting) = &mut conn.role
        {
            conn.deadline = None;
            inspecting.seeks = Seeks::Chain;
            if let Some(listener) = listener {
                inspecting.listener = listener;
            }
            self.begin_inspection(key);
        }
    }
}

/// The address that was called before the redirection (SO_ORIGINAL_DST).
fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    socket.original_dst_v4().or_else(|_| socket.original_dst_v6()).ok()?.as_socket()
}

/// As the operating system takes it.
pub fn tcp_keepalive(keepalive: Keepalive) -> TcpKeepalive {
    TcpKeepalive::new().with_time(keepalive.time).with_interval(keepalive.interval).with_retries(keepalive.probes)
}
