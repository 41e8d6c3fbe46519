//! Forward proxies between the proxy and upstreams, as the environment names them.

mod no_proxy;
mod socks5;
mod tunnel;

pub use socks5::Socks5Failure;
pub(super) use socks5::ask as ask_socks5;
pub use tunnel::TunnelFailure;
pub(super) use tunnel::ask as ask_tunnel;

use super::origin::Origin;
use crate::os::env::Environment;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use no_proxy::NoProxy;
use std::fmt;
use url::{Host, Position, Url};

/// Which upstreams are reached through which proxy.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<ForwardProxy>,
    https: Option<ForwardProxy>,
    no_proxy: NoProxy,
}

/// How an upstream is reached.
#[derive(Debug)]
pub(super) enum Route<'a> {
    /// The upstream's scheme has no proxy.
    NoVariable,
    /// Loopback addresses are always reached directly, as by the Go program.
    Loopback,
    /// This entry of `NO_PROXY` is for the upstream.
    NoProxy(&'a str),
    Through(&'a ForwardProxy),
}

/// A forward proxy.
pub(super) struct ForwardProxy {
    variable: &'static str,
    kind: Kind,
    scheme: &'static str,
    host: Host,
    port: u16,
    /// The login, which is not shown.
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
     http://proxy.example.com:3128, with a port from 1 to 65535 and a percent-encoded user and password \
     (%23 for #, %2F for /), found something else"
)]
pub struct ProxyVariable(&'static str);

/// The first one that is not empty counts. As Go and curl have them.
const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxies {
    /// # Errors
    ///
    /// A variable is to name a proxy, and does not: requests would go past the proxy.
    pub(super) fn from_env(environment: &impl Environment) -> Result<Self, ProxyVariable> {
        let value = |name| environment.get(name).filter(|value| !value.is_empty());
        let read = |variables: [&'static str; 4]| {
            // Each is read, also where another one counts.
            let mut proxies = variables.into_iter().filter_map(|variable| {
                let url = value(variable)?;
                let proxy = url.to_str().and_then(|url| ForwardProxy::parse(variable, url));
                Some(proxy.ok_or(ProxyVariable(variable)))
            });
            let proxy = proxies.next().transpose()?;
            proxies.try_for_each(|proxy| proxy.map(drop))?;
            Ok(proxy)
        };
        let no_proxy = NO_PROXY.into_iter().find_map(value).unwrap_or_default();
        Ok(Self {
            http: read(HTTP)?,
            https: read(HTTPS)?,
            no_proxy: NoProxy::parse(&no_proxy.to_string_lossy()),
        })
    }

    /// How `origin` is reached.
    pub(super) fn route(&self, origin: &Origin) -> Route<'_> {
        let proxy = if origin.is_secure() { &self.https } else { &self.http };
        let Some(proxy) = proxy else {
            return Route::NoVariable;
        };
        let is_loopback = match origin.host() {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        if is_loopback {
            return Route::Loopback;
        }
        match self.no_proxy.entry_for(origin) {
            Some(entry) => Route::NoProxy(entry),
            None => Route::Through(proxy),
        }
    }
}

impl ForwardProxy {
    /// `None`: the URL is none, or what the proxy speaks is not spoken here.
    fn parse(variable: &'static str, url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        uri.authority()?;
        // Neither `Uri` nor `Matcher` looks at the port, nor at what follows it.
        let url = match uri.scheme() {
            Some(_) => Url::parse(url),
            None => Url::parse(&format!("http://{url}")),
        };
        let url = url.ok().filter(|url| url.port() != Some(0))?;
        // An unescaped # or / in a password, which would have ended the host.
        if url[Position::AfterPort..].contains('@') {
            return None;
        }
        let any = Uri::from_static("http://host.example");
        let named = Matcher::builder().all(url.as_str()).build().intercept(&any)?;
        // The ports that the Go program takes, too. To SOCKS5 it gives names in either case.
        let (scheme, kind, port) = match named.uri().scheme_str()? {
            "http" => ("http", Kind::Http, 80),
            "https" => ("https", Kind::Https, 443),
            "socks5" => ("socks5", Kind::Socks5, 1080),
            "socks5h" => ("socks5h", Kind::Socks5, 1080),
            _ => return None,
        };
        let host = Host::parse(named.uri().host()?).ok()?;
        let port = named.uri().port_u16().unwrap_or(port);
        Some(Self { variable, kind, scheme, host, port, named })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
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
        let Self { scheme, host, port, .. } = self;
        write!(f, "{scheme}://{host}:{port}")
    }
}

/// Without its login, part of which may have stayed in the URI of `named`.
impl fmt::Debug for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardProxy").field(&format_args!("{self}")).finish()
    }
}

/// As `--check` and the log tell it.
impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable => f.write_str("directly, no variable names a proxy"),
            Self::Loopback => f.write_str("directly, as all loopback addresses"),
            Self::NoProxy(entry) => write!(f, "directly, for NO_PROXY has {entry:?}"),
            Self::Through(proxy) => write!(f, "through the proxy {proxy} of {}", proxy.variable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::ffi::OsString;
    use taskcluster_proxy_core::proxy::RootUrl;

    fn named_by(url: &str) -> Option<ForwardProxy> {
        ForwardProxy::parse("ALL_PROXY", url)
    }

    fn proxies(variables: &[(&'static str, &str)]) -> Result<Proxies, ProxyVariable> {
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value)));
        Proxies::from_env(&variables.collect::<HashMap<_, _>>())
    }

    #[test]
    fn the_route_says_which_proxy_is_used_or_why_none() {
        for (variables, root_url, expected) in [
            (&[] as &[_], "https://tc.test", "directly, no variable names a proxy"),
            (&[("HTTP_PROXY", "p:1")], "https://tc.test", "directly, no variable names a proxy"),
            (
                &[("HTTPS_PROXY", ""), ("https_proxy", "u:cAnArY@p:1"), ("ALL_PROXY", "q:2")],
                "https://tc.test",
                "through the proxy http://p:1 of https_proxy",
            ),
            (
                &[("ALL_PROXY", "p:1")],
                "http://tc.test",
                "through the proxy http://p:1 of ALL_PROXY",
            ),
            (&[("ALL_PROXY", "p:1")], "http://[::1]", "directly, as all loopback addresses"),
            (&[("ALL_PROXY", "p:1")], "http://localhost:80", "directly, as all loopback addresses"),
            (
                &[("ALL_PROXY", "p:1"), ("NO_PROXY", ""), ("no_proxy", "a, .test")],
                "http://tc.test",
                "directly, for NO_PROXY has \".test\"",
            ),
        ] {
            let root_url = RootUrl::parse(root_url).unwrap();
            let origin = Origin::of_root_url(&root_url).unwrap();
            assert_eq!(proxies(variables).unwrap().route(&origin).to_string(), expected);
        }
    }

    #[test]
    fn each_variable_has_to_name_a_proxy() {
        let error = proxies(&[("HTTP_PROXY", "p:1"), ("ALL_PROXY", "ftp://q")]).unwrap_err();
        assert_eq!(error, ProxyVariable("ALL_PROXY"));
    }

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
            assert!(!format!("{proxy:?}").contains("cAn"), "{url}");
        }
    }

    #[test]
    fn logins_are_told_to_those_who_ask() {
        for url in ["https://user:p%40ss@proxy.example", "https://user:p@ss@proxy.example"] {
            let authorization = named_by(url).unwrap().authorization();
            assert_eq!(authorization.unwrap(), "Basic dXNlcjpwQHNz", "{url}");
        }
        let http = named_by("https://user:p%40ss@proxy.example").unwrap();
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

    #[test]
    fn ports_are_none_or_numbers_from_1_to_65535() {
        for scheme in ["", "http://", "https://", "socks5://", "socks5h://"] {
            for port in ["0", "-1", "65536", "99999", "abc", "1x"] {
                let url = format!("{scheme}proxy.example:{port}");
                assert!(named_by(&url).is_none(), "{url}");
            }
            for (port, expected) in [(":1", 1), (":65535", 65535)] {
                let proxy = named_by(&format!("{scheme}proxy.example{port}")).unwrap();
                assert_eq!(proxy.port(), expected, "{scheme}");
            }
        }
        for (scheme, port) in [("http", 80), ("https", 443)] {
            let given = named_by(&format!("{scheme}://proxy.example:{port}")).unwrap();
            assert_eq!(given.port(), port);
            assert_eq!(named_by(&format!("{scheme}://proxy.example:")).unwrap().port(), port);
        }
    }

    /// What is left of the login would be taken for the host.
    #[test]
    fn characters_of_a_login_that_end_the_host_have_to_be_escaped() {
        for scheme in ["", "http://", "socks5://"] {
            for login in ["u:p#p", "u:p/p", "u:p?p", "u:12#p", "u:12/p", "u:12?p", "u#", "u/p"] {
                let url = format!("{scheme}{login}@proxy.example:3128");
                assert!(named_by(&url).is_none(), "{url}");
            }
        }
        let proxy = named_by("socks5://u:%23%2f%3f@proxy.example:3128").unwrap();
        assert_eq!(proxy.login(), Some(("u", "#/?")));
        assert_eq!(proxy.to_string(), "socks5://proxy.example:3128");
    }
}
