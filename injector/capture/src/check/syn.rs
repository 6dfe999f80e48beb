//! The first packet of a TCP connection as it comes out of a tunnel: VXLAN, Ethernet, IP, TCP.

use std::net::{IpAddr, SocketAddr};

/// A SYN from one address to another, both of one family, in a frame to the hardware address.
pub fn packed(network: u32, hardware: [u8; 6], from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (addresses, kind, header) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            // RFC 791: version and length, 40 octets in all, not to be divided, 64 hops, TCP.
            let mut header = vec![0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0];
            header.extend(&addresses);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum);
            (addresses, [0x08, 0x00], header)
        }
        (from, to) => {
            let octets = |ip| match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            let addresses = [octets(from), octets(to)].concat();
            // RFC 8200: version, 20 octets behind this header, TCP, 64 hops.
            let mut header = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
            header.extend(&addresses);
            (addresses, [0x86, 0xdd], header)
        }
    };
    // RFC 7348, section 5: the network's number is valid, and stands in the upper 24 bits.
    let mut packet = vec![0x08, 0, 0, 0];
    packet.extend((network << 8).to_be_bytes());
    packet.extend(hardware);
    // Locally administered, and not the address of the other end.
    packet.extend([0x02, 0, 0, 0, 0, 0xfe]);
    packet.extend(kind);
    packet.extend(header);
    packet.extend(tcp(&addresses, from.port(), to.port()));
    packet
}

/// RFC 9293, section 3.1.
fn tcp(addresses: &[u8], from: u16, to: u16) -> Vec<u8> {
    let mut header = [from.to_be_bytes(), to.to_be_bytes()].concat();
    header.extend([0, 0, 0, 1, 0, 0, 0, 0]); // sequence, acknowledgement
    header.extend([0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]); // length, SYN, window, checksum, urgent
    let pseudo = [addresses, &[0, 6, 0, 20], &header].concat();
    header[16..18].copy_from_slice(&checksum(&pseudo));
    header
}

/// RFC 1071; the length is even.
fn checksum(octets: &[u8]) -> [u8; 2] {
    let words = octets.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}
