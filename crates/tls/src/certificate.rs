//! What stands in a certificate: whose it is, which hosts it is for, until when it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::BasicExtension;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::distinguished_name;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject as Java prints it.
    pub subject: String,
    /// The beginning of its time, in seconds since 1970.
    pub not_before_s: i64,
    /// The end of its time, in seconds since 1970.
    pub not_after_s: i64,
    common_name: Option<String>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Certificate {
    /// Reads it; `None` if it is not a certificate, or one of whose names or hosts a part cannot be read: who cannot tell which
    /// hosts it is for must not believe it. Neither is one that says of nobody that it is his: as in Java alternative names must be
    /// critical where they stand for an empty subject.
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let name = parsed.subject().as_raw();
        let mut certificate = Certificate {
            subject: distinguished_name::printed(name)?,
            not_before_s: parsed.validity().not_before.timestamp(),
            not_after_s: parsed.validity().not_after.timestamp(),
            common_name: distinguished_name::common_name(name),
            dns_names: Vec::new(),
            addresses: Vec::new(),
        };
        let alternatives = parsed.subject_alternative_name().ok()?;
        let is_critical = |names: &BasicExtension<&SubjectAlternativeName<'_>>| {
            names.critical && !names.value.general_names.is_empty()
        };
        if certificate.subject.is_empty() && !alternatives.as_ref().is_some_and(is_critical) {
            return None;
        }
        for alternative in alternatives.iter().flat_map(|names| &names.value.general_names) {
            match alternative {
                GeneralName::DNSName(name) => certificate.dns_names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => certificate.addresses.push(address(bytes)?),
                GeneralName::Invalid(..) => return None,
                _ => (),
            }
        }
        Some(certificate)
    }

    /// Whether it is for this host: an address, or a name. As in Java the common name counts if nothing else names a host, and a
    /// star stands for a part of one label.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let has_alternatives = !(self.dns_names.is_empty() && self.addresses.is_empty());
        if has_alternatives && let Ok(address) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&address.to_canonical());
        }
        self.names().any(|name| is_match(&host, &name.to_ascii_lowercase()))
    }

    /// The names of hosts in it that can be looked up.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !name.contains('*') && name.parse::<IpAddr>().is_err())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let has_alternatives = !(self.dns_names.is_empty() && self.addresses.is_empty());
        let common = self.common_name.iter().filter(move |_| !has_alternatives);
        self.dns_names.iter().chain(common).map(String::as_str)
    }

    /// The hosts it is for, in words.
    pub fn hosts(&self) -> String {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        let all: Vec<_> = self.names().map(str::to_owned).chain(addresses).collect();
        if all.is_empty() { "no host".to_owned() } else { all.join(", ") }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}

fn is_match(host: &str, name: &str) -> bool {
    let Some((before, behind)) = name.split_once('*') else { return host == name };
    let inner = host.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
    inner.is_some_and(|inner| !inner.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(common_name: &str, dns_names: &[&str], addresses: &[&str]) -> Certificate {
        Certificate {
            subject: String::new(),
            not_before_s: 0,
            not_after_s: 0,
            common_name: Some(common_name.to_owned()),
            dns_names: dns_names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn hosts_are_those_of_the_alternative_names_or_else_the_common_name() {
        let plain = certificate("zoo1.example", &[], &[]);
        assert!(plain.is_for("ZOO1.example") && plain.is_for("zoo1.example."));
        assert!(!plain.is_for("zoo2.example"));
        assert!(certificate("10.0.0.1", &[], &[]).is_for("10.0.0.1"), "as in Java");
        let full = certificate("zoo1", &["zoo.example", "*.zk", "a*c.zk"], &["10.0.0.1", "::1"]);
        for host in ["zoo.example", "b.zk", "abc.zk", "10.0.0.1", "[::1]", "0:0::1"] {
            assert!(full.is_for(host), "{host}");
        }
        for host in ["zoo1", "zk", "b.c.zk", "10.0.0.2", "::2", ""] {
            assert!(!full.is_for(host), "{host}");
        }
    }

    #[test]
    fn an_address_matches_no_name() {
        assert!(!certificate("x", &["10.0.0.1"], &[]).is_for("10.0.0.1"));
    }

    #[test]
    fn names_that_can_be_looked_up() {
        let full = certificate("zoo1", &["zoo.example", "*.zk"], &["10.0.0.1"]);
        assert_eq!(full.host_names().collect::<Vec<_>>(), ["zoo.example"]);
        assert_eq!(full.hosts(), "zoo.example, *.zk, 10.0.0.1");
        assert_eq!(certificate("zoo1", &[], &[]).host_names().collect::<Vec<_>>(), ["zoo1"]);
    }
}
