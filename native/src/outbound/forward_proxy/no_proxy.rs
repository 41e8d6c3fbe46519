//! `NO_PROXY`: which upstreams are reached directly, as Go and curl read it.
//!
//! hyper-util's matcher supports neither ports nor `*.example.com` nor brackets.

use crate::outbound::origin::Origin;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use url::Host;

/// The entries of `NO_PROXY`.
#[derive(Debug, Default)]
pub(super) struct NoProxy(Vec<Entry>);

/// An entry of `NO_PROXY`.
#[derive(Debug)]
struct Entry {
    /// The unparsed text.
    text: String,
    hosts: Hosts,
    /// `None` for any port.
    port: Option<u16>,
}

#[derive(Debug)]
enum Hosts {
    All,
    Network(IpNet),
    Address(IpAddr),
    /// The subdomains of a domain, whose name is stored with a leading dot.
    Subdomains(String),
    /// A domain and its subdomains.
    Domain(String),
}

impl NoProxy {
    /// Parses entries that are separated by commas (Go) or white space (curl). Invalid entries, such as one
    /// with a port that is not a number, are ignored.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Entry::parse).collect())
    }

    /// The text of the first entry that matches `origin`.
    pub(super) fn entry_for(&self, origin: &Origin) -> Option<&str> {
        let matches = |entry: &&Entry| {
            let port_matches = entry.port.is_none_or(|port| port == origin.port());
            port_matches && entry.hosts.match_host(origin.host())
        };
        self.0.iter().find(matches).map(|entry| entry.text.as_str())
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let entry = |hosts, port| Some(Self { text: text.to_owned(), hosts, port });
        if let Ok(network) = text.parse() {
            return entry(Hosts::Network(network), None);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return entry(Hosts::Address(address.ip().to_canonical()), Some(address.port()));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return entry(Hosts::Address(address.to_canonical()), None);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) if !text.starts_with('[') => (host, port),
            _ => (text, ""),
        };
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        let host = host.trim_end_matches('.');
        if host == "*" {
            return entry(Hosts::All, port);
        }
        let domain = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let hosts = match (domain, Host::parse(domain.unwrap_or(host)).ok()?) {
            (None, Host::Domain(name)) => Hosts::Domain(name),
            (None, Host::Ipv4(ip)) => Hosts::Address(ip.into()),
            (None, Host::Ipv6(ip)) => Hosts::Address(ip.to_canonical()),
            (Some(_), Host::Domain(name)) => Hosts::Subdomains(format!(".{name}")),
            (Some(_), _) => return None,
        };
        entry(hosts, port)
    }
}

impl Hosts {
    fn match_host(&self, host: &Host) -> bool {
        let (name, address) = match host {
            Host::Domain(name) => (name.trim_end_matches('.'), None),
            Host::Ipv4(ip) => ("", Some(IpAddr::V4(*ip))),
            Host::Ipv6(ip) => ("", Some(ip.to_canonical())),
        };
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Address(listed) => address == Some(*listed),
            Self::Subdomains(domain) => name.ends_with(domain.as_str()),
            Self::Domain(domain) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskcluster_proxy_core::proxy::RootUrl;

    fn is_direct(list: &str, root_url: &str) -> bool {
        let root_url = RootUrl::parse(root_url).unwrap();
        NoProxy::parse(list).entry_for(&Origin::of_root_url(&root_url).unwrap()).is_some()
    }

    /// The rules that Go documents (golang.org/x/net/http/httpproxy, `Config.NoProxy`), each with URLs that
    /// match and URLs that do not.
    #[test]
    fn entries_are_read_as_go_documents_them() {
        type Row = (&'static str, &'static [&'static str], &'static [&'static str]);
        const TABLE: &[Row] = &[
            // A domain name matches that name and all subdomains.
            (
                "corp.test",
                &["http://corp.test", "https://a.corp.test", "https://b.a.corp.test:8443"],
                &["http://xcorp.test", "http://corp.test.example", "http://test"],
            ),
            // One with a leading dot matches subdomains only; so does one with `*.`.
            (".corp.test", &["http://a.corp.test"], &["http://corp.test", "http://acorp.test"]),
            (
                "*.corp.test",
                &["http://a.corp.test", "https://b.a.corp.test"],
                &["http://corp.test"],
            ),
            // Each may have a port, which is compared with that of the URL, explicit or implied.
            (
                "tc.corp.test:8443",
                &["https://tc.corp.test:8443", "http://a.tc.corp.test:8443"],
                &["https://tc.corp.test", "https://tc.corp.test:8444"],
            ),
            ("corp.test:443", &["https://a.corp.test"], &["http://a.corp.test"]),
            ("corp.test:80", &["http://corp.test"], &["https://corp.test"]),
            ("*.corp.test:81", &["http://a.corp.test:81"], &["http://a.corp.test"]),
            (".corp.test:81", &["http://a.corp.test:81"], &["http://corp.test:81"]),
            // An IP address, with or without a port; IPv6 with or without brackets.
            ("192.0.2.1", &["http://192.0.2.1", "https://192.0.2.1:81"], &["http://192.0.2.10"]),
            ("192.0.2.1:81", &["http://192.0.2.1:81"], &["http://192.0.2.1"]),
            ("2001:db8::1", &["http://[2001:db8::1]"], &["http://[2001:db8::11]"]),
            ("[2001:db8::1]", &["http://[2001:db8:0::1]:81"], &["http://[2001:db8::2]"]),
            ("[2001:db8::1]:81", &["http://[2001:db8::1]:81"], &["http://[2001:db8::1]"]),
            ("::ffff:192.0.2.1", &["http://192.0.2.1"], &["http://192.0.2.2"]),
            // A CIDR network, which never matches names.
            ("192.0.2.0/24", &["http://192.0.2.255:81"], &["http://192.0.3.1", "http://corp.test"]),
            ("192.0.2.77/24", &["http://192.0.2.1"], &["http://192.0.3.77"]),
            ("2001:db8::/32", &["http://[2001:db8:1::1]"], &["http://[2001:db9::1]"]),
            // A single asterisk: no proxy at all.
            ("*", &["http://a", "https://192.0.2.1", "https://[2001:db8::1]:81"], &[]),
            ("other.test, *", &["http://corp.test"], &[]),
            // White space and case are ignored; curl separates by white space as well.
            (
                " Corp.TEST ,\tother.test  third.test",
                &["http://corp.test", "http://OTHER.test", "http://a.third.test"],
                &["http://fourth.test"],
            ),
            // A dot at the end of a name (as curl).
            ("corp.test.", &["http://corp.test", "http://corp.test."], &["http://corp"]),
            // Invalid entries match nothing and do not affect the others.
            ("", &[], &["http://corp.test"]),
            (",, ,", &[], &["http://corp.test"]),
            (".", &[], &["http://corp.test"]),
            (
                "corp.test:http,192.0.2.0/99,*x.test,a.test",
                &["http://a.test"],
                &["http://corp.test", "http://192.0.2.1", "http://ax.test"],
            ),
        ];
        for (list, direct, proxied) in TABLE {
            for url in *direct {
                assert!(is_direct(list, url), "{list:?} matches {url}");
            }
            for url in *proxied {
                assert!(!is_direct(list, url), "{list:?} does not match {url}");
            }
        }
    }

    #[test]
    fn the_text_of_the_matching_entry_is_returned() {
        let root_url = RootUrl::parse("https://a.corp.test").unwrap();
        let origin = Origin::of_root_url(&root_url).unwrap();
        let list = NoProxy::parse("other.test, *.Corp.test:443");
        assert_eq!(list.entry_for(&origin), Some("*.Corp.test:443"));
    }
}
