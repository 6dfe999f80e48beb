//! Binding a port so that a failure tells the operator what to do.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::{TcpListener, TcpSocket};

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {purpose} on {address}: {}", remedy(.source, .flag))]
pub struct BindError {
    /// What the port is for, as in `xDS` or `admin`.
    pub purpose: &'static str,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// The option that chooses another address.
    pub flag: &'static str,
    /// What the operating system said.
    pub source: io::Error,
}

/// Connections that wait to be accepted: a fleet that comes back does so all at once, and what overflows the queue is
/// reset. The kernel cuts this to `net.core.somaxconn`, whose default it is.
const BACKLOG: u32 = 4096;

/// All addresses: a socket of IPv6 takes IPv4 too, and cannot be had where the kernel has no IPv6.
pub fn everywhere(port: u16) -> SocketAddr {
    let interfaces = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let ip = if interfaces.is_empty() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    (ip, port).into()
}

/// Binds `address`; `flag` is the option that chooses another, for the error.
pub async fn bind(purpose: &'static str, flag: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|source| BindError { purpose, address, flag, source })
}

/// The same where there is an address.
pub async fn bind_given(
    purpose: &'static str,
    flag: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = address else { return Ok(None) };
    bind(purpose, flag, address).await.map(Some)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart need not wait for connections of its predecessor to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn remedy(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "the port is in use; stop the program that holds it, or choose another with {flag} (port 0 takes any free one)"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("no interface of this machine has that address; choose another with {flag}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted for this user; choose a port of 1024 or above with {flag}")
        }
        _ => format!("{error}; choose another address with {flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named_with_what_to_do() {
        let held = bind("admin", "--admin-address", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = held.local_addr().unwrap();
        let message = bind("admin", "--admin-address", address).await.unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "cannot listen for admin on {address}: the port is in use; stop the program that holds it, \
                 or choose another with --admin-address (port 0 takes any free one)"
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named_with_what_to_do() {
        // RFC 5737: 192.0.2.0/24 is for documentation, so no machine has it.
        let error = bind("xDS", "--xds-address", ([192, 0, 2, 1], 0).into()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("no interface of this machine has that address; choose another with --xds-address")
        );
    }
}
