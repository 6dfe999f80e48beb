//! The first segments of a TCP connection. Those of the caller are as they come out of a tunnel: VXLAN, Ethernet, IP, TCP.

use std::net::{IpAddr, SocketAddr};

/// The caller's first sequence number.
const BEGIN: u32 = 1;

/// What the caller sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// At first.
    Syn,
    /// To the answer, which has this sequence number.
    Acknowledgement(u32),
}

/// A segment from one address to another, both of one family, in a frame to the hardware address.
pub fn packed(network: u32, hardware: [u8; 6], from: SocketAddr, to: SocketAddr, segment: Segment) -> Vec<u8> {
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
    packet.extend(tcp(&addresses, from.port(), to.port(), segment));
    packet
}

/// The sequence number of the answer to a SYN, if the packet, from its IP header on, is that between these two.
pub fn answer(packet: &[u8], from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let addresses = |at, length| {
        let both = packet.get(at..at + 2 * length)?;
        Some(both.split_at(length) == (&octets(from.ip())[..], &octets(to.ip())[..]))
    };
    let (is_between, tcp) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => (addresses(12, 4)?, packet.get(usize::from(packet[0] & 0xf) * 4..)?),
        6 if packet.get(6) == Some(&6) => (addresses(8, 16)?, packet.get(40..)?),
        _ => return None,
    };
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let acknowledged = (BEGIN + 1).to_be_bytes();
    let header = tcp.get(..14)?;
    // SYN and ACK.
    let is_answer = header[..4] == ports && header[8..12] == acknowledged && header[13] & 0x3f == 0x12;
    (is_between && is_answer).then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// RFC 9293, section 3.1.
fn tcp(addresses: &[u8], from: u16, to: u16, segment: Segment) -> Vec<u8> {
    let (sequence, acknowledged, flags) = match segment {
        Segment::Syn => (BEGIN, 0, 0x02),
        Segment::Acknowledgement(answer) => (BEGIN + 1, answer.wrapping_add(1), 0x10),
    };
    let mut header = [from.to_be_bytes(), to.to_be_bytes()].concat();
    header.extend([sequence.to_be_bytes(), acknowledged.to_be_bytes()].concat());
    header.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]); // length, flags, window, checksum, urgent
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands before the IP header in a tunnel: VXLAN and Ethernet.
    const TUNNEL: usize = 8 + 14;

    #[test]
    fn an_answer_is_told_from_all_else_that_passes_by() {
        for (own, neighbour, flags) in
            [("10.0.0.2:80", "198.51.100.2:40000", 20 + 13), ("[fd00::2]:80", "[2001:db8:0:1::2]:40000", 40 + 13)]
        {
            let (own, neighbour): (SocketAddr, SocketAddr) = (own.parse().unwrap(), neighbour.parse().unwrap());
            // An acknowledgement of 1 acknowledges what a SYN of ours would.
            let segment = packed(1, [0; 6], own, neighbour, Segment::Acknowledgement(BEGIN));
            let mut packet = segment[TUNNEL..].to_vec();
            assert_eq!(answer(&packet, own, neighbour), None, "no SYN");
            packet[flags] = 0x12;
            assert_eq!(answer(&packet, own, neighbour), Some(BEGIN + 1));
            assert_eq!(answer(&packet, neighbour, own), None, "the other way");
            let mut other = own;
            other.set_port(81);
            assert_eq!(answer(&packet, other, neighbour), None, "another port");
            for length in 0..packet.len() {
                let _ = answer(&packet[..length], own, neighbour);
            }
            packet[flags - 2] ^= 1;
            assert_eq!(answer(&packet, own, neighbour), None, "of another SYN");
        }
        assert_eq!(answer(&[0x4f; 60], "1.2.3.4:5".parse().unwrap(), "1.2.3.4:5".parse().unwrap()), None);
    }
}
