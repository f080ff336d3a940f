//! Who a pod is: its ordinal from its host name, its peers' names from the domain of its headless service.
//!
//! ```text
//! zk-2                                  host name: StatefulSet `zk`, ordinal 2
//! zk-2.zk-hs.default.svc.cluster.local  the line of /etc/hosts that the kubelet writes: the rest is the domain
//! ```
//!
//! `hostname -d` asks the resolver for the host's own full name. The answer is in /etc/hosts, also before any name of the
//! service resolves, so that is where it is read; a resolver would next append the first search domain. In a pod that is the
//! namespace's, in which no pod has a name, so there it is no answer.

/// What a host knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name, perhaps a full one.
    pub name: String,
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
}

impl Host {
    /// `hostname -s`.
    pub fn short_name(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// `hostname -d`, if it is known.
    pub fn domain(&self) -> Option<&str> {
        let of_full_name =
            |name: &'_ str| name.split_once('.').map(|(_, domain)| domain.len()).filter(|length| *length > 0);
        if let Some(length) = of_full_name(&self.name) {
            return Some(&self.name[self.name.len() - length..]);
        }
        let mut full_names = self.hosts.lines().filter_map(|line| canonical(line, &self.name));
        let in_hosts =
            full_names.find_map(|name| of_full_name(name).map(|length| &name[name.len() - length..]));
        in_hosts.or_else(|| self.search().filter(|domain| !is_namespace(domain)))
    }

    /// The first search domain; of several lines, the last counts.
    fn search(&self) -> Option<&str> {
        let lines = self.resolv_conf.lines().map(str::split_ascii_whitespace);
        let mut domains = lines.filter_map(|mut words| match words.next()? {
            "search" | "domain" => words.next(),
            _ => None,
        });
        domains.next_back().map(|domain| domain.trim_end_matches('.')).filter(|domain| !domain.is_empty())
    }

    /// The namespace's domain, if this host looks like a pod.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.search().filter(|domain| is_namespace(domain))
    }
}

/// Whether this is `NAMESPACE.svc.ZONE`.
fn is_namespace(domain: &str) -> bool {
    domain.split('.').nth(1) == Some("svc")
}

/// The first name on a line of /etc/hosts that has this name, too.
fn canonical<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let mut names = line.split('#').next()?.split_ascii_whitespace().skip(1).peekable();
    let first = *names.peek()?;
    names.any(|each| each.eq_ignore_ascii_case(name)).then_some(first)
}

/// A pod of a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// The StatefulSet.
    pub set: String,
    /// Which of its pods.
    pub ordinal: u32,
}

impl PodName {
    /// Takes a short host name apart: everything before its last dash, and the number behind it.
    pub fn parse(short_name: &str) -> Option<Self> {
        let (set, ordinal) = short_name.rsplit_once('-')?;
        let is_number = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
        let ordinal = ordinal.parse().ok().filter(|_| is_number)?;
        Some(Self { set: set.to_owned(), ordinal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD_HOSTS: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\
                             10.244.1.7\tzk-1.zk-hs.default.svc.cluster.local\tzk-1\n";
    const POD_RESOLV: &str = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n\
                              options ndots:5\n";

    fn domain<'h>(name: &str, hosts: &str, resolv_conf: &str, host: &'h mut Host) -> Option<&'h str> {
        *host = Host { name: name.into(), hosts: hosts.into(), resolv_conf: resolv_conf.into() };
        host.domain()
    }

    #[test]
    fn a_pod_finds_its_domain_where_the_kubelet_writes_it() {
        let mut host = Host::default();
        assert_eq!(domain("zk-1", POD_HOSTS, POD_RESOLV, &mut host), Some("zk-hs.default.svc.cluster.local"));
        assert_eq!(host.short_name(), "zk-1");
    }

    #[test]
    fn a_full_host_name_needs_no_file() {
        let mut host = Host::default();
        let name = "zk-1.zk-hs.ns.svc.cluster.local";
        assert_eq!(domain(name, "", "", &mut host), Some("zk-hs.ns.svc.cluster.local"));
        assert_eq!(host.short_name(), "zk-1");
    }

    #[test]
    fn a_namespace_is_no_domain_of_pods() {
        let mut host = Host::default();
        assert_eq!(domain("zk-1", "127.0.0.1 localhost", POD_RESOLV, &mut host), None);
        assert_eq!(host.namespace(), Some("default.svc.cluster.local"));
    }

    #[test]
    fn elsewhere_the_search_domain_is_appended() {
        let mut host = Host::default();
        assert_eq!(domain("zk-1", "", "domain a.b\nsearch zk.example. c.d\n", &mut host), Some("zk.example"));
        assert_eq!(
            domain("zk-1", "10.0.0.1 zk-1", "nameserver 10.0.0.2", &mut host),
            None,
            "a short name says nothing"
        );
        assert_eq!(domain("zk-1", "10.0.0.1 ZK-1.a.b zk-1 # zk-1.c.d", "", &mut host), Some("a.b"));
        assert_eq!(domain("zk-1", "10.0.0.1 zk-10.a.b zk-10", "", &mut host), None, "another pod's line");
    }

    #[test]
    fn a_pod_is_a_set_and_an_ordinal() {
        let pod = |set: &str, ordinal| Some(PodName { set: set.into(), ordinal });
        assert_eq!(PodName::parse("zk-0"), pod("zk", 0));
        assert_eq!(PodName::parse("my-zk-cluster-12"), pod("my-zk-cluster", 12));
        for name in ["zk", "zk-", "zk-a", "zk-1a", "zk-+1", "", "zk-99999999999", "zk0"] {
            assert_eq!(PodName::parse(name), None, "{name}");
        }
    }
}
