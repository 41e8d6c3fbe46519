//! Forward proxies between this proxy and upstreams, which environment variables name.

mod no_proxy;
mod socks5;
mod tunnel;

pub use socks5::Socks5Failure;
pub(super) use socks5::connect as connect_socks5;
pub use tunnel::TunnelFailure;
pub(super) use tunnel::open as open_tunnel;

use super::origin::Origin;
use crate::os::env::Environment;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use no_proxy::NoProxy;
use std::fmt;
use url::{Host, Position, Url};

/// The forward proxies for http and https upstreams, and the upstreams that are reached directly.
#[derive(Debug)]
pub(super) struct Proxies {
    http: Option<ForwardProxy>,
    https: Option<ForwardProxy>,
    no_proxy: NoProxy,
}

/// The route to an upstream.
#[derive(Debug)]
pub(super) enum Route<'a> {
    /// Directly: no variable names a proxy for the upstream's scheme.
    NoVariable,
    /// Directly: loopback addresses are never reached through a proxy, as in the Go proxy.
    Loopback,
    /// Directly: this entry of `NO_PROXY` matches the upstream.
    NoProxy(&'a str),
    /// Through this proxy.
    Through(&'a ForwardProxy),
}

impl<'a> Route<'a> {
    /// The forward proxy, if the route is through one.
    pub(super) fn proxy(self) -> Option<&'a ForwardProxy> {
        match self {
            Self::Through(proxy) => Some(proxy),
            Self::NoVariable | Self::Loopback | Self::NoProxy(_) => None,
        }
    }
}

/// A forward proxy.
pub(super) struct ForwardProxy {
    /// The environment variable that names the proxy.
    variable: &'static str,
    protocol: ProxyProtocol,
    scheme: &'static str,
    host: Host,
    port: u16,
    /// Contains the login. Its `Debug` shows a part of a password with an unescaped `@`.
    intercept: Intercept,
}

/// The protocol of a forward proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyProtocol {
    Http,
    /// HTTP within TLS.
    Https,
    Socks5,
}

/// The error for an environment variable that does not contain the URL of a forward proxy. The message does
/// not repeat the value, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: expected the URL of a proxy that speaks http, https or socks5, such as \
     http://proxy.example.com:3128, with a port from 1 to 65535 and a percent-encoded user and password \
     (%23 for #, %2F for /), found something else"
)]
pub struct InvalidProxyVariable(&'static str);

/// The variables, as in Go and curl. The first one that is not empty counts.
const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxies {
    /// Reads the environment variables.
    ///
    /// # Errors
    ///
    /// A variable does not contain the URL of a forward proxy. If it were ignored, requests would bypass
    /// the proxy.
    pub(super) fn from_env(environment: &impl Environment) -> Result<Self, InvalidProxyVariable> {
        let value = |name| environment.get(name).filter(|value| !value.is_empty());
        let read = |variables: [&'static str; 4]| {
            // All variables are checked, even those that do not count.
            let mut proxies = variables.into_iter().filter_map(|variable| {
                let url = value(variable)?;
                let proxy = url.to_str().and_then(|url| ForwardProxy::parse(variable, url));
                Some(proxy.ok_or(InvalidProxyVariable(variable)))
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

    /// The route to `origin`.
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
    /// Returns `None` if the URL is invalid or its protocol is not supported.
    fn parse(variable: &'static str, url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        uri.authority()?;
        // Neither `Uri` nor `Matcher` checks the port and what follows it.
        let url = match uri.scheme() {
            Some(_) => Url::parse(url),
            None => Url::parse(&format!("http://{url}")),
        };
        let url = url.ok().filter(|url| url.port() != Some(0))?;
        // An unescaped #, / or ? in a password has ended the host too early.
        if url[Position::AfterPort..].contains('@') {
            return None;
        }
        let any = Uri::from_static("http://host.example");
        let intercept = Matcher::builder().all(url.as_str()).build().intercept(&any)?;
        // The default ports are those of the Go proxy. With both socks5 and socks5h the proxy resolves
        // names, as in the Go proxy.
        let (scheme, protocol, port) = match intercept.uri().scheme_str()? {
            "http" => ("http", ProxyProtocol::Http, 80),
            "https" => ("https", ProxyProtocol::Https, 443),
            "socks5" => ("socks5", ProxyProtocol::Socks5, 1080),
            "socks5h" => ("socks5h", ProxyProtocol::Socks5, 1080),
            _ => return None,
        };
        let host = Host::parse(intercept.uri().host()?).ok()?;
        let port = intercept.uri().port_u16().unwrap_or(port);
        Some(Self { variable, protocol, scheme, host, port, intercept })
    }

    pub(super) fn protocol(&self) -> ProxyProtocol {
        self.protocol
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The value of `Proxy-Authorization` for an HTTP proxy, if the URL has a login.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.intercept.basic_auth().cloned()
    }

    /// The user and password for a SOCKS5 proxy, if the URL has them.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        self.intercept.raw_auth()
    }
}

/// Leaves out the login.
impl fmt::Debug for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardProxy").field(&format_args!("{self}")).finish()
    }
}

/// The URL of the proxy without the login.
impl fmt::Display for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, .. } = self;
        write!(f, "{scheme}://{host}:{port}")
    }
}

/// The text for `--check` and the log.
impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable => f.write_str("directly, no variable names a proxy"),
            Self::Loopback => f.write_str("directly, like all loopback addresses"),
            Self::NoProxy(entry) => write!(f, "directly, because NO_PROXY has {entry:?}"),
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

    fn parse(url: &str) -> Option<ForwardProxy> {
        ForwardProxy::parse("ALL_PROXY", url)
    }

    fn proxies(variables: &[(&'static str, &str)]) -> Result<Proxies, InvalidProxyVariable> {
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value)));
        Proxies::from_env(&variables.collect::<HashMap<_, _>>())
    }

    #[test]
    fn the_route_names_the_proxy_or_the_reason_for_none() {
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
            (&[("ALL_PROXY", "p:1")], "http://[::1]", "directly, like all loopback addresses"),
            (
                &[("ALL_PROXY", "p:1")],
                "http://localhost:80",
                "directly, like all loopback addresses",
            ),
            (
                &[("ALL_PROXY", "p:1"), ("NO_PROXY", ""), ("no_proxy", "a, .test")],
                "http://tc.test",
                "directly, because NO_PROXY has \".test\"",
            ),
        ] {
            let root_url = RootUrl::parse(root_url).unwrap();
            let origin = Origin::of_root_url(&root_url).unwrap();
            assert_eq!(proxies(variables).unwrap().route(&origin).to_string(), expected);
        }
    }

    #[test]
    fn every_variable_must_contain_a_proxy_url() {
        let error = proxies(&[("HTTP_PROXY", "p:1"), ("ALL_PROXY", "ftp://q")]).unwrap_err();
        assert_eq!(error, InvalidProxyVariable("ALL_PROXY"));
    }

    #[test]
    fn proxy_urls() {
        for (url, protocol, shown) in [
            ("proxy.example:3128", ProxyProtocol::Http, "http://proxy.example:3128"),
            ("http://proxy.example", ProxyProtocol::Http, "http://proxy.example:80"),
            ("https://u:cAnArY@proxy.example/x", ProxyProtocol::Https, "https://proxy.example:443"),
            ("socks5://u:cAnArY@[::1]", ProxyProtocol::Socks5, "socks5://[::1]:1080"),
            ("socks5h://proxy.example:81", ProxyProtocol::Socks5, "socks5h://proxy.example:81"),
            // The last @ ends the login.
            ("http://u:cAn@cAnArY@proxy.example", ProxyProtocol::Http, "http://proxy.example:80"),
        ] {
            let proxy = parse(url).unwrap();
            assert_eq!((proxy.protocol(), proxy.to_string().as_str()), (protocol, shown), "{url}");
            let debug = format!("{proxy:?}");
            assert!(!debug.contains("cAn"), "{debug}");
        }
    }

    #[test]
    fn logins_are_available_but_not_shown() {
        for url in ["https://user:p%40ss@proxy.example", "https://user:p@ss@proxy.example"] {
            let authorization = parse(url).unwrap().authorization();
            assert_eq!(authorization.unwrap(), "Basic dXNlcjpwQHNz", "{url}");
        }
        let http = parse("https://user:p%40ss@proxy.example").unwrap();
        assert_eq!(http.login(), None);
        let socks = parse("socks5://user:p%40ss@proxy.example").unwrap();
        assert_eq!((socks.login(), socks.authorization()), (Some(("user", "p@ss")), None));
        for proxy in [http, socks] {
            let debug = format!("{proxy:?} {:?}", proxy.authorization());
            assert!(!debug.contains("p@ss") && !debug.contains("dXNlcjpwQHNz"), "{debug}");
        }
    }

    #[test]
    fn other_urls_are_rejected() {
        for url in ["socks4://proxy.example", "ftp://proxy.example", "http://[bad", "http://", "/x"]
        {
            assert!(parse(url).is_none(), "{url}");
        }
    }

    #[test]
    fn ports_are_none_or_numbers_from_1_to_65535() {
        for scheme in ["", "http://", "https://", "socks5://", "socks5h://"] {
            for port in ["0", "-1", "65536", "99999", "abc", "1x"] {
                let url = format!("{scheme}proxy.example:{port}");
                assert!(parse(&url).is_none(), "{url}");
            }
            for (port, expected) in [(":1", 1), (":65535", 65535)] {
                let proxy = parse(&format!("{scheme}proxy.example{port}")).unwrap();
                assert_eq!(proxy.port(), expected, "{scheme}");
            }
        }
        for (scheme, port) in [("http", 80), ("https", 443)] {
            let given = parse(&format!("{scheme}://proxy.example:{port}")).unwrap();
            assert_eq!(given.port(), port);
            assert_eq!(parse(&format!("{scheme}://proxy.example:")).unwrap().port(), port);
        }
    }

    /// Otherwise the beginning of the login would be taken for the host.
    #[test]
    fn characters_of_a_login_that_end_the_host_have_to_be_escaped() {
        for scheme in ["", "http://", "socks5://"] {
            for login in ["u:p#p", "u:p/p", "u:p?p", "u:12#p", "u:12/p", "u:12?p", "u#", "u/p"] {
                let url = format!("{scheme}{login}@proxy.example:3128");
                assert!(parse(&url).is_none(), "{url}");
            }
        }
        let proxy = parse("socks5://u:%23%2f%3f@proxy.example:3128").unwrap();
        assert_eq!(proxy.login(), Some(("u", "#/?")));
        assert_eq!(proxy.to_string(), "socks5://proxy.example:3128");
    }
}
