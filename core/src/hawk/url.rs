use http::Uri;
use http::uri::{Authority, Scheme};
use std::borrow::Cow;
use std::fmt::Write as _;

/// An absolute http or https URL, byte for byte, as Hawk sees it: host, port, resource.
///
/// What a URI may not contain as it is (spaces, quotes, braces, letters outside of ASCII; RFC 3986
/// section 2) is percent-encoded, as every client would on the way; all else, dot segments and the
/// case of escapes included, stays as it was written. A fragment is dropped: it never goes over the
/// wire.
///
/// ```
/// use taskcluster_proxy_core::hawk::HttpUrl;
///
/// let url = HttpUrl::parse("https://TC.example.com/a%2fb//../c d?z&a#f")?;
/// assert_eq!((url.host(), url.port()), ("tc.example.com", 443));
/// assert_eq!(url.resource(), "/a%2fb//../c%20d?z&a");
/// assert_eq!(url.to_string(), "https://tc.example.com/a%2fb//../c%20d?z&a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    uri: Uri,
    port: u16,
}

/// Why a text is not an absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Nothing but white space.
    #[error("expected an absolute http:// or https:// URL, found nothing")]
    Empty,
    /// Not text.
    #[error("expected a URL in UTF-8, found other bytes at byte {0}")]
    Encoding(usize),
    /// No scheme, or another one.
    #[error("expected an absolute URL that starts with http:// or https://, found {0}")]
    Scheme(String),
    /// Control characters.
    #[error("a URL cannot contain control characters, found {0:?} at byte {1}")]
    Control(char, usize),
    /// A user name or password.
    #[error("a URL to be signed cannot carry a user name or password")]
    UserInfo,
    /// The host is empty or has characters that no host has.
    #[error(
        "expected a host name or address (in ASCII form, xn--..) after the scheme, found {0:?}"
    )]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("expected a port from 1 to 65535, found {0:?}")]
    Port(String),
    /// Longer than 65,534 bytes, or otherwise no URI.
    #[error("not a URL: {0}")]
    Malformed(String),
}

impl HttpUrl {
    /// Reads an absolute URL; white space around it does not count.
    ///
    /// # Errors
    ///
    /// The text is not an absolute http or https URL, names a user, or has no usable host or port.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if let Some((at, found)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(UrlError::Control(found, at));
        }
        let (scheme, rest) = split_scheme(text)?;
        let rest = rest.split_once('#').map_or(rest, |(before, _fragment)| before);
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (authority, port) = parse_authority(authority, &scheme)?;
        let resource = percent_encode(resource);
        let resource: Cow<'_, str> = match resource.as_bytes().first() {
            Some(b'/') => resource,
            // An empty path goes over the wire as `/` (RFC 9110 section 4.2.3).
            _ => format!("/{resource}").into(),
        };
        Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(resource.as_ref())
            .build()
            .map(|uri| Self { uri, port })
            .map_err(|error| UrlError::Malformed(error.to_string()))
    }

    /// The host in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The port, given or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they go over the wire.
    pub fn resource(&self) -> &str {
        self.uri.path_and_query().map_or("/", |resource| resource.as_str())
    }

    /// The same as [`http::Uri`], which keeps every byte.
    pub fn as_uri(&self) -> &Uri {
        &self.uri
    }
}

/// The URL as it is signed.
impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

impl std::str::FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

/// The port that a scheme implies.
pub(crate) fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), UrlError> {
    for (name, scheme) in [("http://", Scheme::HTTP), ("https://", Scheme::HTTPS)] {
        if let Some((start, rest)) = text.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
        {
            return Ok((scheme, rest));
        }
    }
    // The text may be anything, a pasted secret included: only a scheme is repeated.
    Err(UrlError::Scheme(match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}://"),
        _ => "no scheme".to_owned(),
    }))
}

fn is_scheme(text: &str) -> bool {
    text.len() < 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn parse_authority(text: &str, scheme: &Scheme) -> Result<(Authority, u16), UrlError> {
    if text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    if !is_host(host) {
        return Err(UrlError::Host(host.to_owned()));
    }
    let host = host.to_ascii_lowercase();
    let (authority, port) = match port {
        // `http://host:/` means the default port (RFC 3986 section 3.2.3).
        None | Some("") => (host, default_port(scheme)),
        Some(text) => match text.parse() {
            Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => {
                (format!("{host}:{port}"), port)
            }
            _ => return Err(UrlError::Port(text.to_owned())),
        },
    };
    let authority = authority
        .parse()
        .map_err(|error: http::uri::InvalidUri| UrlError::Malformed(error.to_string()))?;
    Ok((authority, port))
}

/// A registered name or IPv4 address, in the characters that the DNS and the certificates of hosts
/// know, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 255
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    }
}

/// Encodes what RFC 3986 section 2 does not let stand in a URI, but for `[` and `]`, which every
/// client leaves as they are.
fn percent_encode(text: &str) -> Cow<'_, str> {
    let must = |b: u8| !b.is_ascii() || b" \"<>\\^`{|}".contains(&b);
    if !text.bytes().any(must) {
        return text.into();
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if must(byte) {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_byte_that_a_uri_may_have() {
        for text in [
            "https://tc.example.com/",
            "http://tc.example.com:8080/x?",
            "http://[::1]:8080/x",
            "https://tc.example.com/a//b/./../%2f%2F;p=1,2?q=a'b&&c=[1]&d=?/:@!$()*+",
            "https://a_b.example/x",
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn writes_what_goes_over_the_wire() {
        for (text, expected) in [
            (" https://tc.example.com\n", "https://tc.example.com/"),
            ("HTTPS://TC.Example.com?a", "https://tc.example.com/?a"),
            ("http://h:/x", "http://h/x"),
            ("http://h:080/x", "http://h:80/x"),
            ("http://h/é{}\"<>|^`\\ #x", "http://h/%C3%A9%7B%7D%22%3C%3E%7C%5E%60%5C%20"),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            (" \n", "found nothing"),
            ("tc.example.com/x", "found no scheme"),
            ("/x", "found no scheme"),
            ("ftp://h/x", "found ftp://"),
            ("http:/h/x", "found no scheme"),
            ("http:///x", "found \"\""),
            ("http://?x", "found \"\""),
            ("http://h h/x", "found \"h h\""),
            ("http://bücher.example/", "found \"bücher.example\""),
            ("http://[::1/x", "found \"[:\""),
            ("http://h:0/x", "found \"0\""),
            ("http://h:65536/x", "found \"65536\""),
            ("http://h:+1/x", "found \"+1\""),
            ("http://u:p@h/x", "user name"),
            ("http://h/a\nb", "'\\n' at byte 10"),
            ("http://h/a\0", "'\\0' at byte 10"),
        ] {
            let error = HttpUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let long = format!("http://h/{}", "x".repeat(70_000));
        assert!(matches!(HttpUrl::parse(&long), Err(UrlError::Malformed(_))));
    }
}
