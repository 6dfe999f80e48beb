//! The values of the options, read once.

use std::{fmt, net::IpAddr, num::NonZeroU16, str::FromStr};

/// A text that is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Neither a port nor a range of them.
    #[error("{0:?} is no port; 1 to 65535 is accepted, and a range such as 8000-8010")]
    Ports(String),
    /// Not one port.
    #[error("{0:?} is no port; 1 to 65535 is accepted")]
    Port(String),
    /// Neither a user nor a range of them.
    #[error("{0:?} is no user; a number from 0 to 4294967294 is accepted, and a range such as 1000-1010")]
    Ids(String),
    /// Neither an address nor a block of them.
    #[error("{0:?} is no block of addresses; one such as 10.0.0.0/8 or fd00::/8, or a single address, is accepted")]
    Cidr(String),
    /// An address within a block, with the block's length.
    #[error("{given} has bits beyond its length; {meant} is accepted")]
    HostBits {
        /// As it was written.
        given: String,
        /// The block that holds it.
        meant: Cidr,
    },
    /// What no interface can be called.
    #[error(
        "{0:?} is no interface; a name of at most 15 characters without blanks, '/' and ':' is accepted, and a beginning with '+' for the rest, such as veth+"
    )]
    Interface(String),
}

impl ValueError {
    /// With what was found written in another way, such as cut.
    #[must_use]
    pub fn with_text(self, write: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Ports(found) => Self::Ports(write(found)),
            Self::Port(found) => Self::Port(write(found)),
            Self::Ids(found) => Self::Ids(write(found)),
            Self::Cidr(found) => Self::Cidr(write(found)),
            Self::HostBits { given, meant } => Self::HostBits { given: write(given), meant },
            Self::Interface(found) => Self::Interface(write(found)),
        }
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(NonZeroU16);

/// One port, or all from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: Port,
    last: Port,
}

/// One user or group by number, or all from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    first: u32,
    last: u32,
}

/// A block of addresses; the bits beyond its length are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// An interface by name, or by the beginning of its name, followed by `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface(String);

/// Values with commas between them; an empty text is an empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl Port {
    /// The port of the number, which 0 is not.
    pub(crate) fn numbered(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

impl FromStr for Port {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = digits(text).and_then(|text| text.parse().ok());
        number.map(Self).ok_or_else(|| ValueError::Port(text.to_owned()))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Ports {
    /// Whether the port is one of these.
    pub fn contain(self, port: u16) -> bool {
        (self.first.number()..=self.last.number()).contains(&port)
    }

    /// The first and the last.
    pub fn ends(self) -> (Port, Port) {
        (self.first, self.last)
    }
}

impl From<Port> for Ports {
    fn from(port: Port) -> Self {
        Self { first: port, last: port }
    }
}

impl FromStr for Ports {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let ends = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let in_order = ends(text).filter(|(first, last)| first <= last);
        in_order.map(|(first, last)| Self { first, last }).ok_or_else(|| ValueError::Ports(text.to_owned()))
    }
}

impl Ids {
    /// Whether the number is one of these.
    pub fn contain(self, id: u32) -> bool {
        (self.first..=self.last).contains(&id)
    }

    /// The first and the last.
    pub fn ends(self) -> (u32, u32) {
        (self.first, self.last)
    }
}

impl From<u32> for Ids {
    fn from(id: u32) -> Self {
        Self { first: id, last: id }
    }
}

impl FromStr for Ids {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // The largest number means "no user" to the kernel.
        let id = |text: &str| digits(text)?.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        let ends = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((id(first)?, id(last)?))
        };
        let in_order = ends(text).filter(|(first, last)| first <= last);
        in_order.map(|(first, last)| Self { first, last }).ok_or_else(|| ValueError::Ids(text.to_owned()))
    }
}

impl Cidr {
    /// The block that holds the address, of the length, which is at most 32 or 128.
    fn holding(address: IpAddr, length: u8) -> Self {
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::from((v4.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::from((v6.to_bits() & mask).to_be_bytes())
            }
        };
        Self { address, length }
    }

    /// A block that stands in the code.
    pub(crate) const fn fixed(address: IpAddr, length: u8) -> Self {
        Self { address, length }
    }

    /// Whether the address is in the block; one of the other family is not.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && Self::holding(address, self.length) == self
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }
}

impl FromStr for Cidr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Cidr(text.to_owned());
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => {
                let length = digits(length).and_then(|length| length.parse().ok());
                length.filter(|length| *length <= longest).ok_or_else(wrong)?
            }
        };
        let meant = Self::holding(address, length);
        match meant.address == address {
            true => Ok(meant),
            false => Err(ValueError::HostBits { given: text.to_owned(), meant }),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Interface {
    /// Whether this is the interface, or it begins so.
    pub fn matches(&self, name: &str) -> bool {
        self.0.strip_suffix('+').map_or(self.0 == name, |beginning| name.starts_with(beginning))
    }
}

impl FromStr for Interface {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // What the kernel's dev_valid_name takes, but for what would have to be quoted.
        let fits =
            |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'"' | b'\'' | b'\\' | b'!' | b'+' | b',');
        let name = text.strip_suffix('+').unwrap_or(text);
        let ok = !name.is_empty() && text.len() <= 15 && !matches!(text, "." | "..") && name.bytes().all(fits);
        let ok = ok && !name.starts_with('-');
        ok.then(|| Self(text.to_owned())).ok_or_else(|| ValueError::Interface(text.to_owned()))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T> From<List<T>> for Vec<T> {
    fn from(list: List<T>) -> Self {
        list.0
    }
}

impl<T: FromStr<Err = ValueError>> FromStr for List<T> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(|entry| entry.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// The text if it is of digits: `parse` would take a sign too.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: FromStr<Err = ValueError>>(text: &str) -> String {
        text.parse::<List<T>>().err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn a_list_may_be_empty_and_have_blanks() {
        let none: Vec<Ports> = " ".parse::<List<_>>().unwrap().into();
        assert!(none.is_empty());
        let two: Vec<Ports> = "80, 8000-8010".parse::<List<_>>().unwrap().into();
        assert_eq!(two.iter().filter(|ports| ports.contain(8005)).count(), 1);
    }

    #[test]
    fn a_bad_entry_is_named_with_what_would_be_accepted() {
        assert_eq!(told::<Ports>("80,0"), "\"0\" is no port; 1 to 65535 is accepted, and a range such as 8000-8010");
        for bad in ["65536", "-1", "+80", "9-8", "80-", "80,,81", "http"] {
            assert!(told::<Ports>(bad).contains("is no port"), "{bad}");
        }
        for bad in ["4294967295", "-1", "root", "5-4"] {
            assert!(told::<Ids>(bad).contains("is no user"), "{bad}");
        }
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "/8", "example.org"] {
            assert!(told::<Cidr>(bad).contains("is no block of addresses"), "{bad}");
        }
        assert_eq!(told::<Cidr>("10.1.0.0/8"), "10.1.0.0/8 has bits beyond its length; 10.0.0.0/8 is accepted");
        assert_eq!(told::<Cidr>("fd00::1/8"), "fd00::1/8 has bits beyond its length; fd00::/8 is accepted");
        for bad in ["+", "a/b", "a b", "averyverylongname", "..", "a+b", "-j", "e!"] {
            assert!(told::<Interface>(bad).contains("is no interface"), "{bad}");
        }
    }

    #[test]
    fn blocks_and_interfaces_match_what_they_hold() {
        let block: Cidr = "10.32.0.0/12".parse().unwrap();
        assert!(block.contains("10.47.255.255".parse().unwrap()) && !block.contains("10.48.0.0".parse().unwrap()));
        assert!(!block.contains("::".parse().unwrap()));
        let all: Cidr = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()) && !all.contains("10.0.0.0".parse().unwrap()));
        let some: Interface = "veth+".parse().unwrap();
        assert!(some.matches("veth0") && some.matches("veth") && !some.matches("eth0"));
        let one: Interface = "eth1.20".parse().unwrap();
        assert!(one.matches("eth1.20") && !one.matches("eth1"));
    }
}
