//! Detects requests that a browser sends on behalf of a web page.

use super::destination::shortened;
use super::headers::parse_host_field;
use crate::escaped::Escaped;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;
use url::Host;

/// Why a request is considered to come from a web page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// `Origin` or `Sec-Fetch-Site` names another site.
    #[error(
        "--reject-browsers rejects requests from web pages of other sites, found \"{name}: {}\"",
        Escaped(.value)
    )]
    Site {
        /// The name of the header field.
        name: &'static str,
        /// The value of the header field.
        value: String,
    },
    /// The request names a host that is not this proxy, as with DNS rebinding, where the name of a web
    /// page's host resolves to the proxy's address.
    #[error(
        "--reject-browsers rejects requests to hosts other than taskcluster, localhost and the \
         address of the proxy, found \"{}\"", Escaped(.0)
    )]
    Host(String),
}

/// Rejects a request that a browser sends on behalf of a web page, recognized by its header fields.
///
/// `authority` is the authority of a request target in absolute form, `bound` the local address of the
/// connection, if there is one. Clients other than browsers send none of these header fields except
/// `Host`, with a name or address of the proxy.
///
/// ```
/// use http::Request;
/// use taskcluster_proxy_core::proxy::reject_browsers;
///
/// let request = Request::get("/queue/v1/ping").header("host", "taskcluster").body(())?;
/// assert!(reject_browsers(None, None, request.headers()).is_ok());
/// let request = Request::get("/queue/v1/ping").header("host", "evil.example").body(())?;
/// assert!(reject_browsers(None, None, request.headers()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `Sec-Fetch-Site` is neither `same-origin` nor `none`, `Origin` is not `http://` followed by the
/// request's own `Host`, or the host is none of `taskcluster`, `localhost`, a loopback address and
/// `bound`.
pub fn reject_browsers(
    authority: Option<&Authority>,
    bound: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(), BrowserError> {
    let values = |name| headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let hosts = || authority.into_iter().chain(values("host"));
    if let Some(host) = hosts().find(|host| !is_own_host(host, bound)) {
        return Err(BrowserError::Host(text(host)));
    }
    // Web pages on other ports of this machine are same-site, and anyone may have written them.
    let mut others =
        values("sec-fetch-site").filter(|site| !matches!(*site, b"same-origin" | b"none"));
    if let Some(site) = others.next() {
        return Err(BrowserError::Site { name: "Sec-Fetch-Site", value: text(site) });
    }
    // This also rejects `null`, the origin of a page that hides its own.
    let mut others = values("origin").filter(|origin| {
        let own = origin.split_at_checked(SCHEME.len()).filter(|(scheme, _)| *scheme == SCHEME);
        !own.is_some_and(|(_, origin)| hosts().any(|host| origin.eq_ignore_ascii_case(host)))
    });
    match others.next() {
        Some(origin) => Err(BrowserError::Site { name: "Origin", value: text(origin) }),
        None => Ok(()),
    }
}

const SCHEME: &[u8] = b"http://";

/// Whether `host` is a name or address that only this machine has. The port is ignored, because sites do
/// not differ by their ports.
fn is_own_host(host: &[u8], bound: Option<IpAddr>) -> bool {
    let is_own = |ip: IpAddr| {
        let ip = ip.to_canonical();
        ip.is_loopback() || Some(ip) == bound.map(|bound| bound.to_canonical())
    };
    let authority = parse_host_field(host);
    match authority.and_then(|authority| Host::parse(authority.host()).ok()) {
        Some(Host::Domain(name)) => matches!(name.as_str(), "taskcluster" | "localhost"),
        Some(Host::Ipv4(ip)) => is_own(ip.into()),
        Some(Host::Ipv6(ip)) => is_own(ip.into()),
        None => false,
    }
}

fn text(value: &[u8]) -> String {
    shortened(&String::from_utf8_lossy(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 17, 0, 1));

    fn check(headers: &[(&str, &str)]) -> Result<(), BrowserError> {
        check_with(None, Some(BOUND), headers)
    }

    fn check_with(
        authority: Option<&str>,
        bound: Option<IpAddr>,
        headers: &[(&str, &str)],
    ) -> Result<(), BrowserError> {
        let authority = authority.map(|text| Authority::try_from(text).unwrap());
        let field = |(name, value): &(&str, &str)| {
            (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        reject_browsers(authority.as_ref(), bound, &headers.iter().map(field).collect())
    }

    #[test]
    fn only_hosts_of_the_proxy_are_allowed() {
        for host in [
            "taskcluster",
            "taskcluster:80",
            "TaskCluster",
            "localhost:8080",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "172.17.0.1:80",
        ] {
            assert_eq!(check(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "taskcluster.evil.example",
            "taskcluster.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "172.17.0.2",
            "0.0.0.0",
            "[::]",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "::1",
            "localhost:80:80",
            "localhost:x",
            "user@localhost",
            "taskcluster, evil.example",
            "t\u{e4}skcluster",
        ] {
            assert_eq!(check(&[("host", host)]), Err(BrowserError::Host(host.into())), "{host}");
        }
        let host = HeaderValue::from_bytes(b"\xff").unwrap();
        let headers = HeaderMap::from_iter([(http::header::HOST, host)]);
        assert!(reject_browsers(None, None, &headers).is_err());
    }

    #[test]
    fn every_host_of_a_request_is_checked() {
        assert!(check(&[]).is_ok());
        assert!(check(&[("host", "taskcluster"), ("host", "evil.example")]).is_err());
        let headers = [("host", "taskcluster")];
        assert!(check_with(Some("taskcluster:80"), None, &headers).is_ok());
        assert!(check_with(Some("evil.example"), None, &headers).is_err());
        assert!(check_with(None, None, &[("host", "172.17.0.1")]).is_err());
    }

    #[test]
    fn only_the_same_origin_is_allowed() {
        let with = |name, value| check(&[("host", "taskcluster:80"), (name, value)]);
        for (name, value, expected) in [
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "", false),
            ("sec-fetch-site", "None", false),
            ("origin", "http://taskcluster:80", true),
            ("origin", "http://TASKCLUSTER:80", true),
            ("origin", "http://taskcluster", false),
            ("origin", "https://taskcluster:80", false),
            ("origin", "http://localhost:80", false),
            ("origin", "null", false),
            ("origin", "", false),
            ("origin", "https://evil.example", false),
            ("origin", "http://taskcluster:80 https://evil.example", false),
            ("sec-fetch-mode", "cors", true),
        ] {
            assert_eq!(with(name, value).is_ok(), expected, "{name}: {value}");
        }
        let two = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "null")];
        assert!(check(&two).is_err());
        // Without a host no origin is the request's own.
        assert!(check(&[("origin", "http://")]).is_err());
    }

    #[test]
    fn errors_say_what_was_found() {
        let error = check(&[("host", "localhost"), ("origin", "https://evil.example")]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "--reject-browsers rejects requests from web pages of other sites, found \"Origin: \
             https://evil.example\""
        );
    }
}
