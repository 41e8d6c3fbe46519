//! The access policy for hosts: to which hosts requests in hostname form may be forwarded.

use super::destination::{is_host_name, shortened};
use crate::escaped::Escaped;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Host;

/// The hosts to which requests in hostname form (`/<host>/<path>`) may be forwarded.
///
/// ```
/// use taskcluster_proxy_core::proxy::{HostPattern, HostPolicy};
/// use url::Host;
///
/// let root = Host::parse("tc.example.com")?;
/// let host = Host::parse("a.example.com")?;
/// let any_host = HostPolicy::new(vec![], root.clone());
/// assert!(any_host.allows_host(&host).is_ok());
/// assert!(any_host.allows_address(&host, [93, 184, 215, 14].into()).is_ok());
/// assert!(any_host.allows_address(&host, [169, 254, 169, 254].into()).is_err());
///
/// let these_hosts = HostPolicy::new(vec![HostPattern::parse("*.example.com")?], root);
/// assert!(these_hosts.allows_host(&host).is_ok());
/// assert!(these_hosts.allows_host(&Host::parse("example.org")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostPolicy {
    patterns: Vec<HostPattern>,
    root: Option<Host>,
}

/// A pattern that matches one host or several.
///
/// ```
/// use taskcluster_proxy_core::proxy::HostPattern;
/// use url::Host;
///
/// assert_eq!(HostPattern::parse("Example.com")?, HostPattern::Named(Host::parse("example.com")?));
/// assert!(HostPattern::parse("https://example.com").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: any host.
    Any,
    /// `*.example.com`: all subdomains. Stored in lower case, with the leading dot.
    Subdomains(String),
    /// `example.com`: this host, whatever its addresses are.
    Named(Host),
}

/// The error for a text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a host name such as example.com, *.example.com for its subdomains, or *, found \"{}\"",
    Escaped(.0)
)]
pub struct HostPatternError(String);

/// Why a request may not be forwarded to a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No pattern matches the host.
    #[error("only the hosts of --allow-host are allowed, found \"{0}\"")]
    NotAllowed(Host),
    /// The host has a special address, and is not allowed by its exact name.
    #[error("\"{host}\" is {address}: it is allowed only if --allow-host gives this exact name")]
    SpecialAddress {
        /// The host.
        host: Host,
        /// The kind of its address.
        address: SpecialAddress,
    },
}

/// Addresses of services that are meant only for this machine, and that trust every client that can
/// connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecialAddress {
    /// A loopback address: this machine itself.
    #[error("at a loopback address")]
    Loopback,
    /// A link-local address, such as that of most clouds' metadata services.
    #[error("at a link-local address")]
    LinkLocal,
    /// Another address of a cloud's metadata service, which gives machines their credentials.
    #[error("at an address of a cloud metadata service")]
    Metadata,
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// `text` is not `*`, a host name, an IPv4 address, or `*.` and a host name.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let pattern = match text.strip_prefix('*') {
            Some("") => Some(Self::Any),
            Some(rest) => match rest.strip_prefix('.').and_then(parse_host) {
                Some(Host::Domain(domain)) => Some(Self::Subdomains(format!(".{domain}"))),
                _ => None,
            },
            None => parse_host(text).map(Self::Named),
        };
        pattern.ok_or_else(|| HostPatternError(shortened(text)))
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomains(domain), Host::Domain(name)) => {
                name.strip_suffix(domain).is_some_and(|label| !label.is_empty())
            }
            (Self::Subdomains(_), _) => false,
            (Self::Named(named), host) => host == named,
        }
    }
}

/// Parses a host that the first segment of a path can name.
fn parse_host(text: &str) -> Option<Host> {
    Host::parse(text).ok().filter(|host| match host {
        Host::Domain(name) => is_host_name(name),
        Host::Ipv4(_) => true,
        Host::Ipv6(_) => false,
    })
}

impl HostPolicy {
    /// If there are `patterns`, only hosts that match one are allowed; else all hosts except those with
    /// special addresses. `root` is the host of the root URL, which may have any address.
    pub fn new(patterns: Vec<HostPattern>, root: Host) -> Self {
        Self { patterns, root: Some(root) }
    }

    /// Checks a host before its name is resolved.
    ///
    /// # Errors
    ///
    /// No pattern matches the host, or it is a special address, or a name for one, and is not allowed by
    /// its exact name.
    pub fn allows_host(&self, host: &Host) -> Result<(), HostError> {
        if !self.patterns.is_empty() && !self.patterns.iter().any(|pattern| pattern.matches(host)) {
            return Err(HostError::NotAllowed(host.clone()));
        }
        let address = match host {
            // RFC 6761 section 6.3.
            Host::Domain(name) => {
                let is_local = name.rsplit('.').next() == Some("localhost");
                is_local.then_some(SpecialAddress::Loopback)
            }
            Host::Ipv4(ip) => special_ipv4(*ip),
            Host::Ipv6(ip) => special_address((*ip).into()),
        };
        self.check(host, address)
    }

    /// Checks an address to which `host` was resolved. Callers must connect to the address that they
    /// check, because another lookup may give other addresses.
    ///
    /// # Errors
    ///
    /// The address is special, and the host is not allowed by its exact name.
    pub fn allows_address(&self, host: &Host, address: IpAddr) -> Result<(), HostError> {
        self.check(host, special_address(address))
    }

    fn check(&self, host: &Host, address: Option<SpecialAddress>) -> Result<(), HostError> {
        match address {
            Some(address) if !self.is_named(host) => {
                Err(HostError::SpecialAddress { host: host.clone(), address })
            }
            _ => Ok(()),
        }
    }

    /// Whether the host is allowed by its exact name. Patterns with `*` do not count, because the owner of
    /// a domain decides which addresses its names have.
    fn is_named(&self, host: &Host) -> bool {
        let named = |pattern: &HostPattern| matches!(pattern, HostPattern::Named(it) if it == host);
        self.root.as_ref() == Some(host) || self.patterns.iter().any(named)
    }
}

fn special_address(address: IpAddr) -> Option<SpecialAddress> {
    match address.to_canonical() {
        IpAddr::V4(ip) => special_ipv4(ip),
        IpAddr::V6(ip) => special_ipv6(ip),
    }
}

fn special_ipv4(ip: Ipv4Addr) -> Option<SpecialAddress> {
    match ip.octets() {
        // Connections to 0.0.0.0 reach this machine.
        [0 | 127, ..] => Some(SpecialAddress::Loopback),
        [169, 254, ..] => Some(SpecialAddress::LinkLocal),
        // The metadata services of Azure and Alibaba Cloud.
        [168, 63, 129, 16] | [100, 100, 100, 200] => Some(SpecialAddress::Metadata),
        _ => None,
    }
}

fn special_ipv6(ip: Ipv6Addr) -> Option<SpecialAddress> {
    match ip.segments() {
        // Connections to `::` reach this machine.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some(SpecialAddress::Loopback),
        _ if ip.is_unicast_link_local() => Some(SpecialAddress::LinkLocal),
        // The metadata services of Amazon and Google.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254] => {
            Some(SpecialAddress::Metadata)
        }
        // IPv4 addresses in IPv6: compatible, NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            special_ipv4(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(patterns: &[&str]) -> HostPolicy {
        let patterns = patterns.iter().map(|text| HostPattern::parse(text).unwrap()).collect();
        HostPolicy::new(patterns, host("root.example"))
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    fn allows_address(policy: &HostPolicy, name: &str, address: &str) -> bool {
        policy.allows_address(&host(name), address.parse().unwrap()).is_ok()
    }

    #[test]
    fn patterns() {
        let named = |name: &str| Ok(HostPattern::Named(host(name)));
        assert_eq!(HostPattern::parse("Example.COM"), named("example.com"));
        assert_eq!(HostPattern::parse("10.0.0.1"), named("10.0.0.1"));
        assert_eq!(HostPattern::parse("b\u{fc}cher.example"), named("xn--bcher-kva.example"));
        assert_eq!(HostPattern::parse("*"), Ok(HostPattern::Any));
        assert_eq!(
            HostPattern::parse("*.Example.com"),
            Ok(HostPattern::Subdomains(".example.com".into()))
        );
        for text in [
            "",
            "*.",
            "**",
            "*example.com",
            "a.*.com",
            "a.*",
            "*.*",
            "https://a.example",
            "a:80",
            "a b",
            "a_b",
            "[::1]",
            "*.10.0.0.1",
        ] {
            let error = HostPattern::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("expected a host name such as example.com"), "{text}");
        }
    }

    #[test]
    fn without_patterns_all_but_special_hosts_are_allowed() {
        for name in
            ["example.com", "10.0.0.1", "192.168.1.1", "root.example", "a.1x.example", "1.2.3"]
        {
            assert_eq!(policy(&[]).allows_host(&host(name)), Ok(()), "{name}");
        }
        for (name, address) in [
            ("127.0.0.1", SpecialAddress::Loopback),
            ("127.8.8.8", SpecialAddress::Loopback),
            ("0.0.0.0", SpecialAddress::Loopback),
            ("x.localhost", SpecialAddress::Loopback),
            ("[::ffff:127.0.0.1]", SpecialAddress::Loopback),
            ("169.254.169.254", SpecialAddress::LinkLocal),
            ("168.63.129.16", SpecialAddress::Metadata),
            // Other notations of IPv4 addresses.
            ("127.1", SpecialAddress::Loopback),
            ("0177.0.0.1", SpecialAddress::Loopback),
            ("0x7f.0.0.0x1", SpecialAddress::Loopback),
            ("169.254.43518", SpecialAddress::LinkLocal),
        ] {
            let host = host(name);
            let error = Err(HostError::SpecialAddress { host: host.clone(), address });
            assert_eq!(policy(&[]).allows_host(&host), error, "{name}");
            assert_eq!(policy(&["*"]).allows_host(&host), error, "{name}");
            if !matches!(host, Host::Ipv6(_)) {
                assert_eq!(policy(&[name]).allows_host(&host), Ok(()), "{name}");
            }
        }
    }

    #[test]
    fn with_patterns_only_matching_hosts_are_allowed() {
        let policy = policy(&["a.example", "*.b.example"]);
        for name in ["a.example", "x.b.example", "x.y.b.example"] {
            assert_eq!(policy.allows_host(&host(name)), Ok(()), "{name}");
        }
        for name in ["b.example", "xb.example", "x.a.example", "a.example.org", "root.example"] {
            let host = host(name);
            assert_eq!(policy.allows_host(&host), Err(HostError::NotAllowed(host.clone())));
        }
    }

    #[test]
    fn special_addresses_need_the_exact_name() {
        for (address, expected) in [
            ("93.184.215.14", true),
            ("10.0.0.1", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("2002:a00:1::1", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("169.254.0.1", false),
            ("100.100.100.200", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fd00:ec2::254", false),
            ("fd20:ce::254", false),
            ("::ffff:127.0.0.1", false),
            ("::127.0.0.1", false),
            ("64:ff9b::169.254.169.254", false),
            ("2002:7f00:1::", false),
        ] {
            for patterns in [&[][..], &["*"], &["*.example"]] {
                let allowed = allows_address(&policy(patterns), "a.example", address);
                assert_eq!(allowed, expected, "{address} {patterns:?}");
            }
            assert!(allows_address(&policy(&["A.example"]), "a.example", address), "{address}");
            assert!(allows_address(&policy(&[]), "Root.example", address), "{address}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let error =
            policy(&[]).allows_address(&host("a.example"), [127, 0, 0, 1].into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"a.example\" is at a loopback address: it is allowed only if --allow-host gives this \
             exact name"
        );
    }
}
