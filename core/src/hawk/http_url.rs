use super::{UrlError, UrlParts};
use http::Uri;
use http::uri::Scheme;

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

impl HttpUrl {
    /// Reads an absolute URL; white space around it does not count.
    ///
    /// # Errors
    ///
    /// The text is not an absolute http or https URL, names a user, or has no usable host or port.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let parts = UrlParts::split(text)?;
        let scheme = if parts.secure { Scheme::HTTPS } else { Scheme::HTTP };
        Uri::builder()
            .scheme(scheme)
            .authority(parts.authority())
            .path_and_query(parts.encoded_resource().as_ref())
            .build()
            .map(|uri| Self { uri, port: parts.port() })
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
        assert!(matches!(HttpUrl::parse(&long), Err(UrlError::TooLong(_))));
        // Short enough as it is written, and not as it is encoded.
        let long = format!("http://h/{}", "{".repeat(60_000));
        assert!(matches!(HttpUrl::parse(&long), Err(UrlError::Malformed(_))));
    }
}
