//! Addresses in the words of a Java server. They are more than decoration: the name of a client's `ip` identity is compared,
//! listed and audited as text, and who reads logs or `cons` looks for what Java printed.
//!
//! Java's `InetAddress.getHostAddress` writes IPv6 as eight groups without zeros in front, never with `::`, and adds the
//! number of the interface where an address belongs to one. IPv4 is IPv4, also when it came over a socket of both families.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address without its port.
pub fn host(address: SocketAddr) -> String {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V4(ip), _) => ip.to_string(),
        (IpAddr::V6(ip), SocketAddr::V6(whole)) if whole.scope_id() != 0 => {
            format!("{}%{}", groups(ip), whole.scope_id())
        }
        (IpAddr::V6(ip), _) => groups(ip),
    }
}

/// An address that nobody looked up, with its port: `InetSocketAddress.toString`.
pub fn shown(address: SocketAddr) -> String {
    let (host, port) = (host(address), address.port());
    if host.contains(':') { format!("/[{host}]:{port}") } else { format!("/{host}:{port}") }
}

fn groups(ip: Ipv6Addr) -> String {
    ip.segments().map(|group| format!("{group:x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_look_like_javas() {
        for (address, shown_host, shown_whole) in [
            ("127.0.0.1:2181", "127.0.0.1", "/127.0.0.1:2181"),
            ("[::ffff:127.0.0.1]:2181", "127.0.0.1", "/127.0.0.1:2181"),
            ("[::1]:2181", "0:0:0:0:0:0:0:1", "/[0:0:0:0:0:0:0:1]:2181"),
            ("[2001:db8::a0:5]:1", "2001:db8:0:0:0:0:a0:5", "/[2001:db8:0:0:0:0:a0:5]:1"),
            ("[fe80::1%2]:1", "fe80:0:0:0:0:0:0:1%2", "/[fe80:0:0:0:0:0:0:1%2]:1"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!((host(address).as_str(), shown(address).as_str()), (shown_host, shown_whole));
        }
    }
}
