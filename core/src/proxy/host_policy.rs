//! Which hosts requests in hostname form are allowed to go to.

use super::destination::{is_host_name, shortened};
use crate::escaped::Escaped;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which hosts requests in hostname form (`/<host>/<path>`) may go to.
///
/// ```
/// use taskcluster_proxy_core::proxy::{HostPattern, HostPolicy};
///
/// let everywhere = HostPolicy::new(vec![], "tc.example.com");
/// assert!(everywhere.allows_name("example.com").is_ok());
/// assert!(everywhere.allows_address("example.com", [93, 184, 215, 14].into()).is_ok());
/// assert!(everywhere.allows_address("example.com", [169, 254, 169, 254].into()).is_err());
///
/// let there_alone = HostPolicy::new(vec![HostPattern::parse("*.example.com")?], "tc.example.com");
/// assert!(there_alone.allows_name("a.example.com").is_ok());
/// assert!(there_alone.allows_name("example.org").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostPolicy {
    patterns: Vec<HostPattern>,
    root: String,
}

/// A host, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: any.
    Any,
    /// `*.example.com`: those below, with one more label or several. In lower case, with the dot.
    Below(String),
    /// `example.com`: that one, wherever its name leads. In lower case.
    Named(String),
}

/// Why a text is no pattern.
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
    /// No pattern is for it.
    #[error("requests may go only to the hosts of --allow-host, found \"{}\"", Escaped(.0))]
    NotAllowed(String),
    /// It is a place that a task must not reach unless the operator allows it by name.
    #[error(
        "\"{}\" is {what}: requests go there only if --allow-host gives this very name",
        Escaped(.host)
    )]
    Special {
        /// By its name.
        host: String,
        /// What it is.
        what: Special,
    },
}

/// Places that have services for this machine alone, and trust every client that can reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Special {
    /// This machine itself.
    #[error("at a loopback address")]
    Loopback,
    /// Its own network alone; clouds have their metadata there.
    #[error("at a link-local address")]
    LinkLocal,
    /// Where a cloud tells a machine its credentials.
    #[error("at an address of cloud metadata")]
    Metadata,
    /// What resolvers take for an address, each in its own way.
    #[error("a number, not a name")]
    Number,
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is not `*`, a host name, or `*.` and a host name.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(below) if below.strip_prefix('.').is_some_and(is_host_name) => {
                Ok(Self::Below(below.to_owned()))
            }
            None if is_host_name(&text) => Ok(Self::Named(text)),
            _ => Err(HostPatternError(shortened(&text))),
        }
    }

    fn is_for(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(below) => host.strip_suffix(below).is_some_and(|label| !label.is_empty()),
            Self::Named(name) => host == name,
        }
    }
}

impl HostPolicy {
    /// With `patterns`, requests go only there; without any, everywhere but to special places.
    /// `root` is the host of the root URL, which may be at any address.
    pub fn new(patterns: Vec<HostPattern>, root: &str) -> Self {
        Self { patterns, root: root.to_ascii_lowercase() }
    }

    /// Decides on a host, in lower case, by its name.
    ///
    /// # Errors
    ///
    /// No pattern is for it, or it is by its name a special place and not named.
    pub fn allows_name(&self, host: &str) -> Result<(), HostError> {
        if !self.patterns.is_empty() && !self.patterns.iter().any(|pattern| pattern.is_for(host)) {
            return Err(HostError::NotAllowed(shortened(host)));
        }
        match special_name(host) {
            Some(what) if !self.is_named(host) => Err(special(host, what)),
            _ => Ok(()),
        }
    }

    /// Decides on an address that `host` has turned out to have. To be asked of the very address
    /// that is connected to: the next lookup may give another one.
    ///
    /// # Errors
    ///
    /// It is a special place, and the host is not named.
    pub fn allows_address(&self, host: &str, address: IpAddr) -> Result<(), HostError> {
        match special_address(address) {
            Some(what) if !self.is_named(host) => Err(special(host, what)),
            _ => Ok(()),
        }
    }

    /// A pattern with `*` in it does not count: others may have a say in where such names lead.
    fn is_named(&self, host: &str) -> bool {
        let named = |pattern: &HostPattern| matches!(pattern, HostPattern::Named(name) if name.eq_ignore_ascii_case(host));
        self.root.eq_ignore_ascii_case(host) || self.patterns.iter().any(named)
    }
}

fn special(host: &str, what: Special) -> HostError {
    HostError::Special { host: shortened(host), what }
}

fn special_name(host: &str) -> Option<Special> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return special_address(ip);
    }
    let (_, last) = host.rsplit_once('.').unwrap_or_default();
    // RFC 6761 section 6.3.
    if last == "localhost" {
        return Some(Special::Loopback);
    }
    // `127.1`, `0x7f.0.0.1`, `0177.0.0.1`: no top-level domain starts with a digit.
    last.starts_with(|c: char| c.is_ascii_digit()).then_some(Special::Number)
}

fn special_address(address: IpAddr) -> Option<Special> {
    match address.to_canonical() {
        IpAddr::V4(ip) => special_ipv4(ip),
        IpAddr::V6(ip) => special_ipv6(ip),
    }
}

fn special_ipv4(ip: Ipv4Addr) -> Option<Special> {
    match ip.octets() {
        // 0.0.0.0 leads to this machine.
        [0 | 127, ..] => Some(Special::Loopback),
        [169, 254, ..] => Some(Special::LinkLocal),
        // Azure, Alibaba Cloud.
        [168, 63, 129, 16] | [100, 100, 100, 200] => Some(Special::Metadata),
        _ => None,
    }
}

fn special_ipv6(ip: Ipv6Addr) -> Option<Special> {
    match ip.segments() {
        // `::` leads to this machine.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some(Special::Loopback),
        _ if ip.is_unicast_link_local() => Some(Special::LinkLocal),
        // Amazon, Google.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254] => {
            Some(Special::Metadata)
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
        HostPolicy::new(patterns, "root.example")
    }

    fn allows_address(policy: &HostPolicy, host: &str, address: &str) -> bool {
        policy.allows_address(host, address.parse().unwrap()).is_ok()
    }

    #[test]
    fn patterns() {
        let named = |name: &str| Ok(HostPattern::Named(name.into()));
        assert_eq!(HostPattern::parse("Example.COM"), named("example.com"));
        assert_eq!(HostPattern::parse("10.0.0.1"), named("10.0.0.1"));
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
        ] {
            let error = HostPattern::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("expected a host name such as example.com"), "{text}");
        }
    }

    #[test]
    fn without_patterns_any_name() {
        for host in ["example.com", "10.0.0.1", "192.168.1.1", "root.example", "a.1x.example"] {
            assert_eq!(policy(&[]).allows_name(host), Ok(()), "{host}");
        }
        for (host, what) in [
            ("127.0.0.1", Special::Loopback),
            ("127.8.8.8", Special::Loopback),
            ("0.0.0.0", Special::Loopback),
            ("x.localhost", Special::Loopback),
            ("169.254.169.254", Special::LinkLocal),
            ("168.63.129.16", Special::Metadata),
            ("127.1", Special::Number),
            ("0177.0.0.1", Special::Number),
            ("0x7f.0.0.0x1", Special::Number),
            ("1.2.3", Special::Number),
        ] {
            assert_eq!(policy(&[]).allows_name(host), Err(special(host, what)), "{host}");
            assert_eq!(policy(&["*"]).allows_name(host), Err(special(host, what)), "{host}");
            assert_eq!(policy(&[host]).allows_name(host), Ok(()), "{host}");
        }
    }

    #[test]
    fn with_patterns_there_alone() {
        let policy = policy(&["a.example", "*.b.example"]);
        for host in ["a.example", "x.b.example", "x.y.b.example"] {
            assert_eq!(policy.allows_name(host), Ok(()), "{host}");
        }
        for host in ["b.example", "xb.example", "x.a.example", "a.example.org", "root.example"] {
            assert_eq!(policy.allows_name(host), Err(HostError::NotAllowed(host.into())), "{host}");
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
        let error = policy(&[]).allows_address("a.example", [127, 0, 0, 1].into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"a.example\" is at a loopback address: requests go there only if --allow-host gives \
             this very name"
        );
    }
}
