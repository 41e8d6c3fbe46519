//! Which hosts requests in hostname form are allowed to go to.

use super::destination::{is_host_name, shortened};
use crate::escaped::Escaped;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Host;

/// Which hosts requests in hostname form (`/<host>/<path>`) may go to.
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

/// A host, or several.
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
    /// `*`: any.
    Any,
    /// `*.example.com`: all subdomains. In lower case, with the dot.
    Below(String),
    /// `example.com`: this host, whatever addresses its name has.
    Named(Host),
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a host name such as example.com, *.example.com for those below, or *, found \"{}\"",
    Escaped(.0)
)]
pub struct HostPatternError(String);

/// Why a request may not go to a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No pattern matches it.
    #[error("requests may go only to the hosts of --allow-host, found \"{0}\"")]
    NotAllowed(Host),
    /// A task must not reach its address unless the operator allows the host by name.
    #[error("\"{host}\" is {address}: requests go there only if --allow-host gives this very name")]
    SpecialAddress {
        /// The host.
        host: Host,
        /// What its address is for.
        address: SpecialAddress,
    },
}

/// Addresses of services that are for this machine alone and trust every client that reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecialAddress {
    /// This machine itself.
    #[error("at a loopback address")]
    Loopback,
    /// The network of this machine; the metadata services of clouds are there.
    #[error("at a link-local address")]
    LinkLocal,
    /// A metadata service, from which a cloud's machine gets its credentials.
    #[error("at an address of cloud metadata")]
    Metadata,
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is not `*`, a host name or IPv4 address, or `*.` and a host name.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let pattern = match text.strip_prefix('*') {
            Some("") => Some(Self::Any),
            Some(below) => match below.strip_prefix('.').and_then(parse_host) {
                Some(Host::Domain(domain)) => Some(Self::Below(format!(".{domain}"))),
                _ => None,
            },
            None => parse_host(text).map(Self::Named),
        };
        pattern.ok_or_else(|| HostPatternError(shortened(text)))
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(domain), Host::Domain(name)) => {
                name.strip_suffix(domain).is_some_and(|label| !label.is_empty())
            }
            (Self::Below(_), _) => false,
            (Self::Named(named), host) => host == named,
        }
    }
}

/// A host that the first segment of a path can name.
fn parse_host(text: &str) -> Option<Host> {
    Host::parse(text).ok().filter(|host| match host {
        Host::Domain(name) => is_host_name(name),
        Host::Ipv4(_) => true,
        Host::Ipv6(_) => false,
    })
}

impl HostPolicy {
    /// With `patterns`, requests go only to hosts that match one; without any, to all hosts but those at
    /// special addresses. `root` is the host of the root URL, which may have any address.
    pub fn new(patterns: Vec<HostPattern>, root: Host) -> Self {
        Self { patterns, root: Some(root) }
    }

    /// Decides on a host before its name is resolved.
    ///
    /// # Errors
    ///
    /// No pattern matches it, or it is a special address, or a name of one, and not allowed by name.
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

    /// Decides on an address that `host` has been resolved to. To be asked of the very address that is
    /// connected to: the next lookup may give another one.
    ///
    /// # Errors
    ///
    /// It is a special address, and the host is not allowed by name.
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

    /// A pattern with `*` does not count: others may decide what addresses such names have.
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
        // 0.0.0.0 leads to this machine.
        [0 | 127, ..] => Some(SpecialAddress::Loopback),
        [169, 254, ..] => Some(SpecialAddress::LinkLocal),
        // Azure, Alibaba Cloud.
        [168, 63, 129, 16] | [100, 100, 100, 200] => Some(SpecialAddress::Metadata),
        _ => None,
    }
}

fn special_ipv6(ip: Ipv6Addr) -> Option<SpecialAddress> {
    match ip.segments() {
        // `::` leads to this machine.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some(SpecialAddress::Loopback),
        _ if ip.is_unicast_link_local() => Some(SpecialAddress::LinkLocal),
        // Amazon, Google.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254] => {
            Some(SpecialAddress::Metadata)
        }
        // IPv4 in IPv6: compatible, NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2).
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
            Ok(HostPattern::Below(".example.com".into()))
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
    fn without_patterns_any_name() {
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
            // Names that are addresses, as every client reads them.
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
    fn with_patterns_there_alone() {
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
    fn addresses() {
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
                let admitted = allows_address(&policy(patterns), "a.example", address);
                assert_eq!(admitted, expected, "{address} {patterns:?}");
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
            "\"a.example\" is at a loopback address: requests go there only if --allow-host gives \
             this very name"
        );
    }
}
