use std::fmt;

/// What a service port is declared to speak.
///
/// Declared by `appProtocol`, then by the prefix of the port's name (`http-web`), then by a well-known port number
/// whose protocol speaks server first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1 towards the application; also WebSocket (`http`, `kubernetes.io/ws`).
    Http1,
    /// HTTP/2 with prior knowledge (`http2`, `h2c`, `kubernetes.io/h2c`).
    Http2,
    /// gRPC: HTTP/2, retried and reported by `grpc-status`.
    Grpc,
    /// Opaque bytes.
    Tcp,
    /// The application's own TLS: opaque bytes (`https`, `tls`, `kubernetes.io/wss`).
    Tls,
    /// Nothing said: the proxy looks at the first bytes.
    Undeclared,
}

impl Protocol {
    /// Ports whose protocols are TCP and often speak server first: SMTP, MySQL, Galera, PostgreSQL, Redis,
    /// Elasticsearch transport, memcached.
    const WELL_KNOWN_TCP: [u16; 8] = [25, 587, 3306, 4444, 5432, 6379, 9300, 11211];

    /// The protocol of a port by what its Service says of it.
    pub fn declared(app_protocol: Option<&str>, port_name: Option<&str>, number: u16) -> Self {
        let by_name = || port_name.and_then(|name| Self::named(name.split('-').next().unwrap_or(name)));
        match app_protocol {
            // An appProtocol that means nothing to us is still a word of the user's: opaque is the safe reading of
            // a vendor's protocol (`example.com/mqtt`), while a bare unknown word leaves the port's name to decide.
            Some(word) => Self::named(word).or_else(|| word.contains('/').then_some(Self::Tcp)).or_else(by_name),
            None => by_name(),
        }
        .unwrap_or(if Self::WELL_KNOWN_TCP.contains(&number) { Self::Tcp } else { Self::Undeclared })
    }

    /// Whether requests on the port can be routed one by one.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http1 | Self::Http2 | Self::Grpc)
    }

    /// Whether the application expects HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }

    fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "http" | "http1" | "ws" | "kubernetes.io/ws" => Self::Http1,
            "http2" | "h2c" | "kubernetes.io/h2c" => Self::Http2,
            "grpc" | "grpc-web" | "grpcweb" => Self::Grpc,
            "tcp" | "mysql" | "mongo" | "redis" | "postgresql" | "postgres" => Self::Tcp,
            "https" | "tls" | "wss" | "kubernetes.io/wss" => Self::Tls,
            _ => return None,
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Undeclared => "undeclared",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_protocol_wins_over_the_name_and_the_name_over_the_number() {
        assert_eq!(Protocol::declared(Some("kubernetes.io/h2c"), Some("http"), 80), Protocol::Http2);
        assert_eq!(Protocol::declared(None, Some("grpc-api"), 80), Protocol::Grpc);
        assert_eq!(Protocol::declared(None, Some("http"), 6379), Protocol::Http1);
        assert_eq!(Protocol::declared(None, Some("main"), 6379), Protocol::Tcp);
        assert_eq!(Protocol::declared(None, None, 8080), Protocol::Undeclared);
        assert_eq!(Protocol::declared(Some("example.com/mqtt"), Some("http"), 80), Protocol::Tcp);
        assert_eq!(Protocol::declared(Some("HTTP"), None, 80), Protocol::Http1);
    }
}
