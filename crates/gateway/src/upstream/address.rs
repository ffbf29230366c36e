//! Which resolved addresses may be called. A host name in the configuration can resolve to anything (a typo, a
//! hostile DNS answer, a rebinding), so the check is on the address that is about to be dialled, not on the name.
//!
//! The obvious alternative, `IpAddr::is_global`, is unstable and knows nothing of addresses that carry another
//! address inside (v4-mapped, 6to4, NAT64, Teredo); these are refused whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// May a connection be opened to `address`? With `allow_private` private ranges are fine, but never the metadata
/// services of cloud machines, multicast, or addresses that mean no single machine.
pub fn allowed(address: IpAddr, allow_private: bool) -> bool {
    match unmapped(address) {
        IpAddr::V4(v4) if never_v4(v4) => false,
        IpAddr::V6(v6) if never_v6(v6) => false,
        _ if allow_private => true,
        // A mapped address never comes from an honest resolver.
        IpAddr::V4(v4) => address.is_ipv4() && !private_v4(v4),
        IpAddr::V6(v6) => !private_v6(v6),
    }
}

/// The IPv4 address inside `::ffff:a.b.c.d`, so that a mapped spelling cannot hide it.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Metadata services, multicast, broadcast, "this network".
fn never_v4(v4: Ipv4Addr) -> bool {
    const AWS_GCP_AZURE: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    const ECS_TASK: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    let [first, ..] = v4.octets();
    v4 == AWS_GCP_AZURE
        || v4 == ECS_TASK
        || v4 == ALIBABA
        || first == 0
        || v4.is_multicast()
        || v4.is_broadcast()
}

fn never_v6(v6: Ipv6Addr) -> bool {
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    v6 == AWS || v6.is_unspecified() || v6.is_multicast()
}

/// The special-purpose registry of IANA (RFC 6890 and its updates) without the parts that are routed publicly.
#[expect(clippy::unnested_or_patterns, reason = "one range a line, with its name")]
fn private_v4(v4: Ipv4Addr) -> bool {
    match v4.octets() {
        [10 | 127, ..]
        | [100, 64..=127, ..]     // carrier-grade NAT
        | [169, 254, ..]          // link-local
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [192, 0, 0 | 2, _]      // protocol assignments, documentation
        | [192, 88, 99, _]        // 6to4 relays
        | [198, 18 | 19, ..]      // benchmarking
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => true,
        _ => false,
    }
}

#[expect(clippy::unnested_or_patterns, reason = "one range a line, with its name")]
fn private_v6(v6: Ipv6Addr) -> bool {
    match v6.segments() {
        [0, ..]                              // ::1, v4-compatible, v4-mapped, ::ffff:0:0/96
        | [0x64, 0xff9b, ..]                 // NAT64, well-known and local-use
        | [0x100, 0, 0, 0, ..]               // discard
        | [0x2001, 0..=0x1ff, ..]            // Teredo, ORCHID and other protocol assignments
        | [0x2001, 0xdb8, ..]                // documentation
        | [0x2002, ..]                       // 6to4
        | [0x3fff, 0..=0xfff, ..]            // documentation
        | [0x5f00, ..]                       // segment routing
        | [0xfc00..=0xfdff, ..]              // unique local
        | [0xfe80..=0xfeff, ..]              // link-local and the old site-local fec0::/10
        => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Faults row 7: a server-side request forgery.
    #[test]
    fn nothing_private_is_dialled_unless_the_host_says_so() {
        for text in [
            "127.0.0.1",
            "127.8.9.10",
            "10.0.0.5",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "240.0.0.1",
            "192.88.99.1",
            "::1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "3fff::1",
        ] {
            assert!(!allowed(ip(text), false), "{text} must be refused");
            assert!(allowed(ip(text), true), "{text} may be reached with allow_private");
        }
    }

    #[test]
    fn a_public_address_in_a_mapped_spelling_is_refused() {
        assert!(!allowed(ip("::ffff:8.8.8.8"), false));
    }

    #[test]
    fn metadata_services_are_out_of_reach_even_for_private_hosts() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "fd00:ec2::254",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(!allowed(ip(text), true), "{text} must be refused");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "104.18.7.192",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::6812:7c0",
            "2a00:1450::5",
        ] {
            assert!(allowed(ip(text), false), "{text} is public");
        }
    }
}
