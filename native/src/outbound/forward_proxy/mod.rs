//! Forward proxies on the way to upstreams, as the environment names them.

mod socks5;
mod tunnel;

pub(super) use socks5::ask as ask_socks5;
pub(super) use tunnel::ask as ask_tunnel;

use super::origin::Origin;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::fmt;
use std::net::IpAddr;

/// Which upstreams are behind which proxy.
#[derive(Debug)]
pub(super) struct Proxies(Matcher);

/// One of them.
#[derive(Debug)]
pub(super) struct ForwardProxy {
    kind: Kind,
    /// Scheme, host and port: it may be shown.
    uri: Uri,
    /// Whose login is not.
    named: Intercept,
}

/// What is spoken with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    /// HTTP within TLS.
    Https,
    Socks5,
}

/// A variable that is to name a proxy, and does not. Its value may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: expected the URL of a proxy that speaks http, https or socks5, such as \
     http://proxy.example.com:3128, found something else"
)]
pub struct ProxyVariable(&'static str);

/// As curl has them.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

impl Proxies {
    /// # Errors
    ///
    /// A variable is to name a proxy, and does not.
    pub(super) fn from_env() -> Result<Self, ProxyVariable> {
        match PROXY_VARIABLES.into_iter().find(|name| names_no_proxy(name)) {
            Some(variable) => Err(ProxyVariable(variable)),
            None => Ok(Self(Matcher::from_env())),
        }
    }

    /// The one on the way to `origin`. As for the Go program, loopback addresses are reached directly,
    /// whatever the environment.
    pub(super) fn for_origin(&self, origin: &Origin) -> Option<ForwardProxy> {
        let host = origin.bare_host();
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if loopback {
            return None;
        }
        ForwardProxy::new(self.0.intercept(&origin.as_str().parse().ok()?)?)
    }
}

impl ForwardProxy {
    /// `None`: what it speaks is not spoken here.
    fn new(named: Intercept) -> Option<Self> {
        let scheme = named.uri().scheme_str()?;
        // The ports that the Go program takes, too. To SOCKS5 it gives names in either case.
        let (kind, port) = match scheme {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return None,
        };
        let (host, port) = (named.uri().host()?, named.uri().port_u16().unwrap_or(port));
        let uri = format!("{scheme}://{host}:{port}").parse().ok()?;
        Some(Self { kind, uri, named })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or_default()
    }

    /// Its host as certificates name it: an IPv6 address without brackets.
    pub(super) fn bare_host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// What one of HTTP wants to see.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.named.basic_auth().cloned()
    }

    /// The user and password for one of SOCKS5.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        self.named.raw_auth()
    }
}

/// Without its login.
impl fmt::Display for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let host = self.uri.host().unwrap_or_default();
        write!(f, "{scheme}://{host}:{}", self.port())
    }
}

/// The matcher passes over what it cannot read, and requests would go past the proxy.
fn names_no_proxy(variable: &str) -> bool {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return false;
    };
    value.to_str().and_then(named_by).is_none()
}

fn named_by(value: &str) -> Option<ForwardProxy> {
    let any = Uri::from_static("http://host.example");
    ForwardProxy::new(Matcher::builder().all(value).build().intercept(&any)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_proxies() {
        for (url, kind, shown) in [
            ("proxy.example:3128", Kind::Http, "http://proxy.example:3128"),
            ("http://proxy.example", Kind::Http, "http://proxy.example:80"),
            ("https://u:cAnArY@proxy.example/x", Kind::Https, "https://proxy.example:443"),
            ("socks5://u:cAnArY@[::1]", Kind::Socks5, "socks5://[::1]:1080"),
            ("socks5h://proxy.example:81", Kind::Socks5, "socks5h://proxy.example:81"),
            // The last @ ends the login.
            ("http://u:cAn@cAnArY@proxy.example", Kind::Http, "http://proxy.example:80"),
        ] {
            let proxy = named_by(url).unwrap();
            assert_eq!((proxy.kind(), proxy.to_string().as_str()), (kind, shown), "{url}");
            assert!(!format!("{:?}", proxy.uri()).contains("cAn"), "{url}");
            assert_eq!(proxy.uri().to_string().trim_end_matches('/'), shown);
        }
        assert_eq!(named_by("socks5://[::1]").unwrap().bare_host(), "::1");
    }

    #[test]
    fn logins_are_told_to_those_who_ask() {
        let http = named_by("https://user:p%40ss@proxy.example").unwrap();
        assert_eq!(http.authorization().unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(http.login(), None);
        let socks = named_by("socks5://user:p%40ss@proxy.example").unwrap();
        assert_eq!((socks.login(), socks.authorization()), (Some(("user", "p@ss")), None));
        for proxy in [http, socks] {
            let debug = format!("{proxy:?} {:?}", proxy.authorization());
            assert!(!debug.contains("p@ss") && !debug.contains("dXNlcjpwQHNz"), "{debug}");
        }
    }

    #[test]
    fn others_are_not_spoken_to() {
        for url in ["socks4://proxy.example", "ftp://proxy.example", "http://[bad", "http://", "/x"]
        {
            assert!(named_by(url).is_none(), "{url}");
        }
    }
}
