use crate::escaped::Escaped;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// An absolute http or https URL taken apart, each part as it is written.
///
/// ```
/// use taskcluster_proxy_core::hawk::UrlParts;
///
/// let url = UrlParts::as_sent("https://tc.example.com/a%2fb//../c?z&a#f")?;
/// assert_eq!((url.host, url.port()), ("tc.example.com", 443));
/// assert_eq!(url.resource, "/a%2fb//../c?z&a");
/// assert_eq!(url.to_string(), "https://tc.example.com/a%2fb//../c?z&a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// https rather than http.
    pub secure: bool,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// Where one is given.
    pub given_port: Option<u16>,
    /// Path and query, without the fragment, which never goes over the wire.
    pub resource: &'a str,
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
    #[error("a URL cannot contain control characters, found '{}' at byte {}", Escaped(.0.encode_utf8(&mut [0; 4])), .1)]
    Control(char, usize),
    /// A user name or password.
    #[error("a URL to be signed cannot carry a user name or password")]
    UserInfo,
    /// The host is empty or has characters that no host has.
    #[error(
        "expected a host name or address (in ASCII form, xn--..) after the scheme, found \"{}\"", Escaped(.0))]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("expected a port from 1 to 65535, found \"{}\"", Escaped(.0))]
    Port(String),
    /// Longer than any URL that software takes.
    #[error("expected a URL of at most {MAX_LENGTH} bytes, found one of {0}")]
    TooLong(usize),
    /// Path and query are not in the form that goes over the wire.
    #[error("expected a path and query that start with / and are percent-encoded, found '{}'", Escaped(.0.encode_utf8(&mut [0; 4])))]
    NotAsSent(char),
    /// Otherwise no URI.
    #[error("not a URL: {0}")]
    Malformed(String),
}

/// The longest URL in bytes (that of `http::Uri`, which the proxy reads requests with).
const MAX_LENGTH: usize = 65_534;

impl<'a> UrlParts<'a> {
    /// Takes apart a URL whose path and query are as they go over the wire, such as the `href` of
    /// JavaScript's `URL`: nothing has to be encoded, so nothing is.
    ///
    /// # Errors
    ///
    /// The text is not an absolute http or https URL, names a user, has no usable host or port, or
    /// has something in its path and query that has to be percent-encoded.
    pub fn as_sent(text: &'a str) -> Result<Self, UrlError> {
        let parts = Self::split_clean(text)?;
        if !parts.resource.starts_with('/') {
            return Err(UrlError::NotAsSent(parts.resource.chars().next().unwrap_or(' ')));
        }
        let found = parts.resource.bytes().position(|b| !b.is_ascii_graphic());
        match found.and_then(|at| parts.resource.get(at..)?.chars().next()) {
            Some(found) => Err(UrlError::NotAsSent(found)),
            None => Ok(parts),
        }
    }

    /// Takes a URL apart; white space around it does not count.
    pub(crate) fn split(text: &'a str) -> Result<Self, UrlError> {
        let text = text.trim();
        // All of ASCII's, and none of them is part of another character in UTF-8.
        if let Some((at, found)) = text.bytes().enumerate().find(|(_, b)| b.is_ascii_control()) {
            return Err(UrlError::Control(char::from(found), at));
        }
        Self::split_clean(text)
    }

    /// Takes a URL apart that has neither white space around it nor control characters; they end up
    /// in the resource, if anywhere.
    fn split_clean(text: &'a str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(UrlError::TooLong(text.len()));
        }
        let (secure, rest) = split_scheme(text)?;
        let rest = rest.split_once('#').map_or(rest, |(before, _fragment)| before);
        let end = rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'\\'));
        let end = end.unwrap_or(rest.len());
        let (authority, resource) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, given_port) = split_authority(authority)?;
        Ok(Self { secure, host, given_port, resource })
    }

    /// The port, given or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.given_port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host in lower case, and port where one is given.
    pub(crate) fn authority(&self) -> String {
        let mut authority = self.host.to_ascii_lowercase();
        if let Some(port) = self.given_port {
            // Writing to a String cannot fail.
            let _ = write!(authority, ":{port}");
        }
        authority
    }

    /// Path and query as they go over the wire: what RFC 3986 section 2 does not let stand in a URI
    /// encoded, but for `[` and `]`, which every client leaves as they are.
    pub(crate) fn encoded_resource(&self) -> Cow<'a, str> {
        let resource = percent_encode(self.resource);
        match resource.as_bytes().first() {
            Some(b'/') => resource,
            // An empty path goes over the wire as `/` (RFC 9110 section 4.2.3).
            _ => format!("/{resource}").into(),
        }
    }
}

/// The URL, put together again.
impl fmt::Display for UrlParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [self.scheme(), "://", &self.authority(), self.resource] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

fn split_scheme(text: &str) -> Result<(bool, &str), UrlError> {
    for (name, secure) in [("http://", false), ("https://", true)] {
        if let Some((start, rest)) = text.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
        {
            return Ok((secure, rest));
        }
    }
    // The text may be anything, a pasted secret included: only a scheme is repeated.
    Err(UrlError::Scheme(match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with("//") => {
            format!("{scheme}://")
        }
        _ => "no scheme".to_owned(),
    }))
}

fn is_scheme(text: &str) -> bool {
    text.len() < 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn split_authority(text: &str) -> Result<(&str, Option<u16>), UrlError> {
    if text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    if !is_host(host) {
        return Err(UrlError::Host(host.to_owned()));
    }
    match port.parse() {
        // `http://host:/` means the default port (RFC 3986 section 3.2.3).
        _ if port.is_empty() => Ok((host, None)),
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => {
            Ok((host, Some(number)))
        }
        _ => Err(UrlError::Port(port.to_owned())),
    }
}

/// A registered name or IPv4 address, in the characters that the DNS and the certificates of hosts
/// know, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // Which of these are addresses, who connects to them finds out.
        Some(address) => {
            address.contains(':')
                && address.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))
        }
        None => {
            !host.is_empty()
                && host.len() <= 255
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    }
}

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
    fn what_has_to_be_encoded_is_not_as_sent() {
        for (text, found) in [
            ("https://h", ' '),
            ("https://h?x", '?'),
            ("https://h\\x", '\\'),
            ("https://h/a b", ' '),
            ("https://h/é", 'é'),
        ] {
            assert_eq!(UrlParts::as_sent(text), Err(UrlError::NotAsSent(found)), "{text}");
        }
        let text = "http://[::1]:80/a|b'c{}^`\"<>[]\\?q=a'b|{}";
        assert_eq!(UrlParts::as_sent(text).unwrap().to_string(), text);
    }

    #[test]
    fn length_is_limited() {
        let long = format!("http://h/{}", "x".repeat(MAX_LENGTH));
        assert_eq!(UrlParts::split(&long), Err(UrlError::TooLong(MAX_LENGTH + 9)));
    }
}
