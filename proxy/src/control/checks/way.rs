//! A connection to an endpoint, for a check: as its cluster is spoken to, offering what the check speaks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use byrnie_config::UpstreamTls;
use rustls_pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::{conversation::Stream, tls::Contexts};

/// Where a check goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The endpoint.
    pub address: SocketAddr,
    /// Where the connection comes from; the system chooses where there is none.
    pub from: Option<IpAddr>,
    /// None is plain text.
    pub tls: Option<Arc<UpstreamTls>>,
}

impl Way {
    /// Connects, with the handshake where there is one.
    pub async fn connect(&self, contexts: &Contexts) -> io::Result<Box<dyn Stream>> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let context = contexts.client(tls).map_err(io::Error::other)?;
        let connector = TlsConnector::from(context.config(self.address));
        Ok(Box::new(connector.connect(server_name(tls, self.address)?, stream).await?))
    }
}

fn server_name(tls: &UpstreamTls, address: SocketAddr) -> io::Result<ServerName<'static>> {
    match &tls.server_name {
        Some(name) => ServerName::try_from(String::from(&**name)).map_err(io::Error::other),
        None => Ok(ServerName::IpAddress(address.ip().into())),
    }
}
