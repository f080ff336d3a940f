//! What a configured name to listen on stands for: a host name, or an IPv6 address with the zone that it is of (`fe80::1%eth0`, Java's
//! `Inet6Address`). The system's resolver takes zones of link-local addresses alone; Java takes any.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

/// All addresses of the name.
pub fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match name.split_once('%') {
        None => Ok((name, port).to_socket_addrs()?.collect()),
        Some((address, zone)) => {
            let address: Ipv6Addr = address.parse().map_err(io::Error::other)?;
            Ok(vec![SocketAddrV6::new(address, port, 0, zone_index(zone)?).into()])
        }
    }
}

/// A zone is an interface, by its number or by its name.
fn zone_index(zone: &str) -> io::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let index = std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex"))?;
    index.trim_end().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_zone() {
        let lo = zone_index("lo").unwrap();
        let expected = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 0, lo).into();
        assert_eq!(resolve("::1%lo", 7).unwrap(), [expected]);
        assert_eq!(resolve(&format!("::1%{lo}"), 7).unwrap(), [expected]);
        assert!(resolve("::1%no-such-zone", 7).is_err() && resolve("127.0.0.1%lo", 7).is_err());
        assert_eq!(resolve("127.0.0.1", 7).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
    }
}
