//! Links, addresses and routes of this network namespace, by rtnetlink (rtnetlink(7)). The image holds no `ip`.

use std::{io, net::IpAddr, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketType,
    netdevice::{index_to_name, name_to_index},
    netlink::SocketAddrNetlink,
};

use crate::rules::Family;

/// The index of `lo` in every namespace (LOOPBACK_IFINDEX).
pub const LOOPBACK: u32 = 1;

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const NEW_ONLY: u16 = 0x600; // NLM_F_CREATE | NLM_F_EXCL

// Of a link (netdevice(7)): IFF_UP, IFF_NOARP.
const UP: u32 = 0x1;
const WITHOUT_ARP: u32 = 0x80;

/// The kinds of messages that are sent and read.
mod kind {
    pub const ERROR: u16 = 2;
    pub const NEW_LINK: u16 = 16;
    pub const DELETE_LINK: u16 = 17;
    pub const NEW_ADDRESS: u16 = 20;
    pub const DELETE_ADDRESS: u16 = 21;
    pub const NEW_ROUTE: u16 = 24;
    pub const GET_ROUTE: u16 = 26;
}

/// A link that unpacks what comes to a UDP port of loopback (VXLAN, RFC 7348), as if it had come by a wire.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel<'a> {
    /// Its name.
    pub name: &'a str,
    /// The address of its end of the wire.
    pub hardware: [u8; 6],
    /// The number of the network in the tunnel.
    pub network: u32,
    /// UDP, on 127.0.0.1.
    pub port: u16,
}

/// A socket to the kernel.
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Adds an address to a link; `AlreadyExists` if it has it.
    pub fn add_address(&self, link: u32, address: IpAddr, length: u8) -> io::Result<()> {
        self.acknowledged(kind::NEW_ADDRESS, NEW_ONLY, &address_message(link, address, length))
    }

    /// Takes an address from a link; `AddrNotAvailable` if it has it not.
    pub fn delete_address(&self, link: u32, address: IpAddr, length: u8) -> io::Result<()> {
        self.acknowledged(kind::DELETE_ADDRESS, 0, &address_message(link, address, length))
    }

    /// Makes a tunnel and brings it up. Nobody is asked for hardware addresses on it: what leaves by it is sent at once.
    pub fn add_tunnel(&self, tunnel: &Tunnel<'_>) -> io::Result<()> {
        let mut body = link_message(0, UP | WITHOUT_ARP);
        attribute(&mut body, 3, format!("{}\0", tunnel.name).as_bytes()); // IFLA_IFNAME
        attribute(&mut body, 1, &tunnel.hardware); // IFLA_ADDRESS
        let mut data = Vec::new();
        attribute(&mut data, 1, &tunnel.network.to_ne_bytes()); // IFLA_VXLAN_ID
        attribute(&mut data, 4, &[127, 0, 0, 1]); // IFLA_VXLAN_LOCAL
        attribute(&mut data, 7, &[0]); // IFLA_VXLAN_LEARNING
        attribute(&mut data, 15, &tunnel.port.to_be_bytes()); // IFLA_VXLAN_PORT
        let mut info = Vec::new();
        attribute(&mut info, 1, b"vxlan"); // IFLA_INFO_KIND
        attribute(&mut info, 2, &data); // IFLA_INFO_DATA
        attribute(&mut body, 18, &info); // IFLA_LINKINFO
        self.acknowledged(kind::NEW_LINK, NEW_ONLY, &body)
    }

    /// Deletes a link.
    pub fn delete_link(&self, link: u32) -> io::Result<()> {
        self.acknowledged(kind::DELETE_LINK, 0, &link_message(link, 0))
    }

    /// The index of a link.
    pub fn link(&self, name: &str) -> io::Result<u32> {
        Ok(name_to_index(&self.0, name)?)
    }

    /// The name of the interface by which packets to the address leave.
    pub fn way_to(&self, address: IpAddr) -> io::Result<String> {
        // struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
        let mut body = vec![family_number(address), length(address), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        attribute(&mut body, 1, &octets(address)); // RTA_DST
        let reply = self.exchange(kind::GET_ROUTE, REQUEST, &body)?;
        let out = (reply.kind == kind::NEW_ROUTE).then(|| found(reply.body.get(12..)?, 4)).flatten(); // RTA_OIF
        let index = out.and_then(|out| out.try_into().ok()).map(u32::from_ne_bytes);
        let index = index.ok_or_else(|| io::Error::other("the kernel's answer names no interface"))?;
        Ok(index_to_name(&self.0, index)?)
    }

    fn acknowledged(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.exchange(kind, REQUEST | ACKNOWLEDGE | flags, body).map(drop)
    }

    /// Sends one message and reads one, which the kernel answers at once.
    fn exchange(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Reply> {
        // struct nlmsghdr: length, kind, flags, sequence, port.
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend(u32::try_from(16 + body.len()).map_err(io::Error::other)?.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        let kernel: SocketAddrAny = SocketAddrNetlink::new(0, 0).into();
        rustix::net::sendto(&self.0, &message, SendFlags::empty(), &kernel)?;
        let mut answer = vec![0; 8192];
        let (read, _) = rustix::net::recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        answer.truncate(read);
        let cut = || io::Error::other("the kernel's answer is cut off");
        let kind = u16::from_ne_bytes(answer.get(4..6).and_then(|two| two.try_into().ok()).ok_or_else(cut)?);
        let body = answer.split_off(16.min(answer.len()));
        if kind == kind::ERROR {
            let code = body.get(..4).and_then(|four| four.try_into().ok()).map(i32::from_ne_bytes).ok_or_else(cut)?;
            if code != 0 {
                return Err(io::Error::from_raw_os_error(-code));
            }
        }
        Ok(Reply { kind, body })
    }
}

struct Reply {
    kind: u16,
    body: Vec<u8>,
}

/// `struct ifinfomsg`: family, type, index, flags, which flags are meant.
fn link_message(index: u32, flags: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

/// `struct ifaddrmsg`: family, length, flags, scope, index.
fn address_message(link: u32, address: IpAddr, length: u8) -> Vec<u8> {
    // IFA_F_NODAD: the address is good at once, nobody else can have it.
    let flags = if address.is_ipv6() { 0x02 } else { 0 };
    let mut body = [[family_number(address), length, flags, 0], link.to_ne_bytes()].concat();
    attribute(&mut body, 2, &octets(address)); // IFA_LOCAL
    attribute(&mut body, 1, &octets(address)); // IFA_ADDRESS
    body
}

/// `struct rtattr`: length, type, value, filled up to 4 octets. What is sent is far shorter than 64 KiB.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The value of the first attribute of the kind.
fn found(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([attributes[2], attributes[3]]) == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn family_number(address: IpAddr) -> u8 {
    match Family::of(address) {
        Family::V4 => 2,  // AF_INET
        Family::V6 => 10, // AF_INET6
    }
}

fn length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
