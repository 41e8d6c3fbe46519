//! The parts of a URL that Hawk signs, and which URLs can be signed.

use crate::escaped::Escaped;
use http::Uri;
use url::{ParseError, Position, Url};

/// The parts of a URL that Hawk signs.
///
/// They are taken from a [`Url`], from the [`Uri`] of an [`http::Request`], or from another URL type,
/// such as JavaScript's `URL`.
///
/// ```
/// use taskcluster_proxy_core::hawk::UrlParts;
///
/// let url = url::Url::parse("https://TC.example.com/a%2fb/../c?z&a#fragment")?;
/// let parts = UrlParts::try_from(&url)?;
/// assert_eq!((parts.host, parts.port), ("tc.example.com", 443));
/// assert_eq!(parts.resource, "/c?z&a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// The port, explicit or implied by the scheme.
    pub port: u16,
    /// The path and query exactly as sent, without the fragment.
    pub resource: &'a str,
}

/// Why a text or a URL is not an absolute http or https URL that can be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is empty or white space.
    #[error("expected an absolute http:// or https:// URL, found nothing")]
    Empty,
    /// The text is not UTF-8.
    #[error("expected a URL in UTF-8, found other bytes at byte {0}")]
    Encoding(usize),
    /// There is no scheme, or another one.
    #[error("expected an absolute URL that starts with http:// or https://, found {0}")]
    Scheme(String),
    /// The URL contains a user name or password.
    #[error("a URL to be signed cannot carry a user name or password")]
    UserInfo,
    /// The host is missing, or neither a name nor an address.
    #[error("expected a host name or address after the scheme: {0}")]
    Host(&'static str),
    /// The port is not a number from 1 to 65535.
    #[error("expected a port from 1 to 65535, found another text or number")]
    Port,
}

/// Reads a URL as browsers, fetch and most HTTP clients do (the WHATWG URL standard).
///
/// ```
/// use taskcluster_proxy_core::hawk::parse_url;
///
/// assert_eq!(parse_url(" https://tc.example.com/a/../b c\n")?.as_str(), "https://tc.example.com/b%20c");
/// assert!(parse_url("tc.example.com/x").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The text is not an absolute http or https URL, contains a user name, or has no valid host or port.
pub fn parse_url(text: &str) -> Result<Url, UrlError> {
    if text.trim().is_empty() {
        return Err(UrlError::Empty);
    }
    let url = Url::parse(text).map_err(|error| match error {
        // The text may be anything, even a secret pasted by mistake, so no part of it is repeated.
        ParseError::RelativeUrlWithoutBase | ParseError::RelativeUrlWithCannotBeABaseBase => {
            UrlError::Scheme("no scheme".to_owned())
        }
        ParseError::InvalidPort => UrlError::Port,
        ParseError::EmptyHost => UrlError::Host("found an empty one"),
        ParseError::InvalidIpv4Address => UrlError::Host("found an invalid IPv4 address"),
        ParseError::InvalidIpv6Address => UrlError::Host("found an invalid IPv6 address"),
        _ => UrlError::Host("found characters that no host name has"),
    })?;
    UrlParts::try_from(&url)?;
    Ok(url)
}

impl<'a> TryFrom<&'a Url> for UrlParts<'a> {
    type Error = UrlError;

    fn try_from(url: &'a Url) -> Result<Self, UrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme(match url.has_authority() {
                true => format!("{}://", Escaped(url.scheme())),
                // The text may be anything with a colon (a host and port, a secret), so it is not repeated.
                false => "another scheme, or none".to_owned(),
            }));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        Ok(Self {
            host: url.host_str().ok_or(UrlError::Host("found none"))?,
            port: url.port_or_known_default().filter(|port| *port > 0).ok_or(UrlError::Port)?,
            resource: &url[Position::BeforePath..Position::AfterQuery],
        })
    }
}

/// Nothing is normalized: a URI is signed byte for byte.
impl<'a> TryFrom<&'a Uri> for UrlParts<'a> {
    type Error = UrlError;

    fn try_from(uri: &'a Uri) -> Result<Self, UrlError> {
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            Some(scheme) => return Err(UrlError::Scheme(format!("{}://", Escaped(scheme)))),
            None => return Err(UrlError::Scheme("no scheme".to_owned())),
        };
        let authority = uri.authority().ok_or(UrlError::Host("found none"))?;
        let host = authority.host();
        // Most authorities have no port; looking for one takes time.
        let port = if host == authority.as_str() { None } else { authority.port_u16() };
        Ok(Self {
            host,
            port: port.unwrap_or(default_port),
            resource: uri.path_and_query().map_or("/", |resource| resource.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_as_clients_parse_them() {
        for (text, expected) in [
            (" https://tc.example.com\n", "https://tc.example.com/"),
            ("HTTPS://TC.Example.com?a", "https://tc.example.com/?a"),
            ("http://h:/x", "http://h/x"),
            ("http://h:080/x", "http://h/x"),
            ("https:\\\\h\\a\\..\\b", "https://h/b"),
            ("http:/h/x", "http://h/x"),
            ("https:///x", "https://x/"),
            ("http://h/a\nb\t", "http://h/ab"),
            ("http://bücher.example/é", "http://xn--bcher-kva.example/%C3%A9"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://[::0:1]:8080/x?", "http://[::1]:8080/x?"),
            ("https://h/%2e%2E/%2f?b=%7e&a='&é", "https://h/%2f?b=%7e&a=%27&%C3%A9"),
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_expected_and_found() {
        for (text, expected) in [
            (" \n", "found nothing"),
            ("tc.example.com/x", "found no scheme"),
            ("/x", "found no scheme"),
            ("secret:x", "found another scheme, or none"),
            ("mailto:a", "found another scheme, or none"),
            ("tc.example.com:443/x", "found another scheme, or none"),
            ("ftp://h/x", "found ftp://"),
            ("https://", "expected a host name or address after the scheme: found an empty one"),
            ("http://?x", "found an empty one"),
            ("http://h h/x", "characters that no host name has"),
            ("http://[::1/x", "invalid IPv6 address"),
            ("http://1.2.3.256/", "invalid IPv4 address"),
            ("http://h:0/x", "expected a port"),
            ("http://h:65536/x", "expected a port"),
            ("http://h:+1/x", "expected a port"),
            ("http://u:p@h/x", "user name"),
            ("http://u@h/x", "user name"),
        ] {
            let error = parse_url(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_uri_is_signed_byte_for_byte() {
        let uri = Uri::from_static("http://TC.example.com/a//b/./../%2f%2F;p?q=a'b&&c=[1]");
        let parts = UrlParts::try_from(&uri).unwrap();
        assert_eq!((parts.host, parts.port), ("TC.example.com", 80));
        assert_eq!(parts.resource, "/a//b/./../%2f%2F;p?q=a'b&&c=[1]");
        assert!(UrlParts::try_from(&Uri::from_static("/x")).is_err());
    }
}
