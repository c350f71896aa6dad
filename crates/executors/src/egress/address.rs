//! What an address is, before anybody asks whether it may be reached.
//!
//! Every address is looked at as 128 bits, IPv4 in its mapped form (`::ffff:a.b.c.d`), so that one comparison
//! serves both families and a mapped address cannot be told from the IPv4 address that it reaches. Forms that
//! carry an IPv4 address inside an IPv6 one and are translated somewhere on the way (NAT64, 6to4, Teredo) are
//! taken apart by [`embedded`]: the guard judges the outer and the inner address.
//!
//! The table is closed at its open end: an IPv6 address outside `2000::/3`, the only block from which global
//! unicast addresses are given out, is reserved whether or not a range of the table names it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// A block of addresses, such as `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    base: u128,
    /// Leading bits that count, in the 128-bit space: an IPv4 prefix plus 96.
    prefix: u8,
}

/// The text was not an address or a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a block such as 10.2.0.0/16")]
pub struct ParseCidrError(String);

impl Cidr {
    /// The block of the first `prefix` bits of an IPv4 address.
    pub const fn v4(address: Ipv4Addr, prefix: u8) -> Self {
        Self::masked(address.to_ipv6_mapped().to_bits(), 96 + prefix)
    }

    /// The block of the first `prefix` bits of an IPv6 address.
    pub const fn v6(address: Ipv6Addr, prefix: u8) -> Self {
        Self::masked(address.to_bits(), prefix)
    }

    /// The block that holds exactly this address.
    pub fn host(address: IpAddr) -> Self {
        Self {
            base: bits(address),
            prefix: 128,
        }
    }

    const fn masked(bits: u128, prefix: u8) -> Self {
        Self {
            base: bits & mask(prefix),
            prefix,
        }
    }

    /// Whether the address lies in the block; a mapped IPv4 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.prefix) == self.base
    }

    /// Whether the block is one single address.
    pub fn is_host(&self) -> bool {
        self.prefix == 128
    }
}

const fn mask(prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let error = || ParseCidrError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| error())?)),
            None => (text, None),
        };
        match address.parse::<IpAddr>().map_err(|_| error())? {
            IpAddr::V4(v4) => match prefix.unwrap_or(32) {
                prefix @ 0..=32 => Ok(Self::v4(v4, prefix)),
                _ => Err(error()),
            },
            IpAddr::V6(v6) => match prefix.unwrap_or(128) {
                prefix @ 0..=128 => Ok(Self::v6(v6, prefix)),
                _ => Err(error()),
            },
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseCidrError;

    fn try_from(text: String) -> Result<Self, ParseCidrError> {
        text.parse()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = Ipv6Addr::from_bits(self.base);
        match base.to_ipv4_mapped() {
            Some(v4) if self.prefix >= 96 => write!(f, "{v4}/{}", self.prefix - 96),
            _ => write!(f, "{base}/{}", self.prefix),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Somewhere on the internet.
    Public,
    /// This machine.
    Loopback,
    /// A network that its owner numbered: RFC 1918, carrier NAT, unique local.
    Private,
    /// The service that hands a cloud machine its credentials.
    Metadata,
    /// Never a place to send a request to: unspecified, link-local, multicast, documentation, translation.
    Reserved,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "a public address",
            Class::Loopback => "a loopback address",
            Class::Private => "a private address",
            Class::Metadata => "a cloud metadata address",
            Class::Reserved => "a reserved address",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Cidr {
    Cidr::v4(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, last: u16, prefix: u8) -> Cidr {
    Cidr::v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, last), prefix)
}

/// First match wins, so the single metadata addresses stand before the ranges that hold them.
const TABLE: &[(Cidr, Class)] = &[
    (v4(169, 254, 169, 254, 32), Class::Metadata), // most clouds
    (v4(169, 254, 170, 2, 32), Class::Metadata),   // container credentials
    (v4(169, 254, 170, 23, 32), Class::Metadata),  // pod identity
    (v4(100, 100, 100, 200, 32), Class::Metadata), // Alibaba
    (v4(192, 0, 0, 192, 32), Class::Metadata),     // Oracle
    (v4(168, 63, 129, 16, 32), Class::Metadata),   // Azure's host service, in no private range
    (v6(0xfd00, 0xec2, 0, 0x254, 128), Class::Metadata),
    (v6(0xfd00, 0xec2, 0, 0x23, 128), Class::Metadata),
    (v6(0xfd20, 0xce, 0, 0x254, 128), Class::Metadata),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v6(0, 0, 0, 1, 128), Class::Loopback),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::Private),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v6(0xfc00, 0, 0, 0, 7), Class::Private),
    (v4(0, 0, 0, 0, 8), Class::Reserved),      // reaches this machine on Linux
    (v4(169, 254, 0, 0, 16), Class::Reserved), // link-local
    (v4(192, 0, 0, 0, 24), Class::Reserved),
    (v4(192, 0, 2, 0, 24), Class::Reserved),
    (v4(192, 88, 99, 0, 24), Class::Reserved),
    (v4(198, 18, 0, 0, 15), Class::Reserved),
    (v4(198, 51, 100, 0, 24), Class::Reserved),
    (v4(203, 0, 113, 0, 24), Class::Reserved),
    (v4(224, 0, 0, 0, 4), Class::Reserved),     // multicast
    (v4(240, 0, 0, 0, 4), Class::Reserved),     // with the broadcast address
    (v4(0, 0, 0, 0, 0), Class::Public),         // the rest of IPv4
    (v6(0x2001, 0, 0, 0, 23), Class::Reserved), // with Teredo
    (v6(0x2001, 0xdb8, 0, 0, 32), Class::Reserved),
    (v6(0x2002, 0, 0, 0, 16), Class::Reserved), // 6to4
    (v6(0x3fff, 0, 0, 0, 20), Class::Reserved),
    (v6(0x2000, 0, 0, 0, 3), Class::Public),
];

/// What kind of place the address is.
pub fn classify(address: IpAddr) -> Class {
    let row = TABLE.iter().find(|(block, _)| block.contains(address));
    row.map_or(Class::Reserved, |(_, class)| *class)
}

/// The IPv4 address that an IPv6 address is translated to on its way, for the forms that are.
///
/// The mapped form is not among them: it *is* the IPv4 address (see [`Cidr`]).
pub fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6_address) = address else { return None };
    let within = |block: Cidr| block.contains(address);
    let low = v6_address.to_bits() as u32;
    let words = v6_address.segments();
    let is_translated = within(v6(0x64, 0xff9b, 0, 0, 96)) // NAT64
        || within(v6(0x64, 0xff9b, 1, 0, 48)) // NAT64 with a prefix of one's own
        || within(Cidr::v6(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96)); // SIIT
    let is_compatible = within(v6(0, 0, 0, 0, 96)) && low > 1;
    if is_translated || is_compatible {
        return Some(Ipv4Addr::from_bits(low));
    }
    if within(v6(0x2002, 0, 0, 0, 16)) {
        return Some(Ipv4Addr::from_bits(u32::from(words[1]) << 16 | u32::from(words[2])));
    }
    // Teredo keeps the client's address with every bit turned.
    within(v6(0x2001, 0, 0, 0, 32)).then(|| Ipv4Addr::from_bits(!low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn blocks_round_trip_through_text_and_forget_the_bits_behind_the_prefix() {
        for (text, shown) in [
            ("10.2.3.4/16", "10.2.0.0/16"),
            ("10.2.3.4", "10.2.3.4/32"),
            ("fd00::1/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Cidr>().map(|cidr| cidr.to_string()), Ok(shown.to_owned()));
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "host",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_block_contains_its_ends_and_nothing_beside_them() {
        let block: Cidr = "172.16.0.0/12".parse().expect("block");
        for inside in ["172.16.0.0", "172.31.255.255", "::ffff:172.20.0.1"] {
            assert!(block.contains(ip(inside)), "{inside}");
        }
        for outside in ["172.15.255.255", "172.32.0.0", "::172.16.0.1"] {
            assert!(!block.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn addresses_fall_into_their_class_at_both_ends_of_each_range() {
        for (text, class) in [
            ("8.8.8.8", Class::Public),
            ("9.255.255.255", Class::Public),
            ("11.0.0.0", Class::Public),
            ("100.63.255.255", Class::Public),
            ("100.128.0.0", Class::Public),
            ("2606:4700::1111", Class::Public),
            ("127.255.255.255", Class::Loopback),
            ("::1", Class::Loopback),
            ("::ffff:127.0.0.1", Class::Loopback),
            ("10.255.255.255", Class::Private),
            ("100.127.255.255", Class::Private),
            ("fdff::1", Class::Private),
            ("169.254.169.254", Class::Metadata),
            ("::ffff:169.254.169.254", Class::Metadata),
            ("168.63.129.16", Class::Metadata),
            ("fd00:ec2::254", Class::Metadata),
            ("169.254.0.1", Class::Reserved),
            ("0.0.0.0", Class::Reserved),
            ("255.255.255.255", Class::Reserved),
            ("::", Class::Reserved),
            ("fe80::1", Class::Reserved),
            ("ff02::1", Class::Reserved),
            ("64:ff9b::808:808", Class::Reserved),
            ("100::1", Class::Reserved),
            ("2001:db8::1", Class::Reserved),
            ("4000::1", Class::Reserved),
        ] {
            assert_eq!(classify(ip(text)), class, "{text}");
        }
    }

    #[test]
    fn translated_forms_give_up_the_address_inside() {
        for (text, inner) in [
            ("64:ff9b::7f00:1", "127.0.0.1"),
            ("64:ff9b:1::a00:1", "10.0.0.1"),
            ("2002:7f00:1::", "127.0.0.1"),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", "127.0.0.1"),
            ("::ffff:0:7f00:1", "127.0.0.1"),
            ("::7f00:1", "127.0.0.1"),
        ] {
            assert_eq!(embedded(ip(text)).map(IpAddr::V4), Some(ip(inner)), "{text}");
        }
        for text in ["::1", "::", "2606:4700::1111", "::ffff:127.0.0.1", "127.0.0.1"] {
            assert_eq!(embedded(ip(text)), None, "{text}");
        }
    }
}
