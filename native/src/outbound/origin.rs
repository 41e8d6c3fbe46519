//! Where requests are forwarded to: scheme, host and port, and the whole URL.

use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{Form, RootUrl};

/// Scheme, host and port of an upstream.
#[derive(Debug)]
pub struct Origin {
    /// `https://tc.example.com`, with the port where one is given, in lower case.
    url: String,
    scheme: Scheme,
    authority: Authority,
    /// The authority as the value of a `Host` header field.
    host_field: HeaderValue,
}

/// Where a request is forwarded to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The upstream.
    pub origin: Arc<Origin>,
    /// The absolute URL, its path and query byte for byte those of the request.
    pub uri: Uri,
    /// How the request named it.
    pub form: Form,
}

impl Origin {
    /// The origin of all services of a deployment.
    ///
    /// # Errors
    ///
    /// The host of the root URL cannot be part of a URI.
    pub fn of_root_url(root_url: &RootUrl) -> Result<Self, InvalidUri> {
        let scheme = if root_url.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
        Self::new(scheme, root_url.authority())
    }

    /// A host by its name, in lower case, over https.
    ///
    /// # Errors
    ///
    /// The host cannot be part of a URI.
    pub fn of_host(host: &str) -> Result<Self, InvalidUri> {
        Self::new(Scheme::HTTPS, host)
    }

    fn new(scheme: Scheme, authority: &str) -> Result<Self, InvalidUri> {
        let url = format!("{scheme}://{authority}");
        let authority = Authority::try_from(authority)?;
        // Each character of an authority may stand in a header field.
        let host_field =
            HeaderValue::try_from(authority.as_str()).unwrap_or(HeaderValue::from_static(""));
        Ok(Self { url, scheme, authority, host_field })
    }

    /// Scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// https rather than http.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// What a `Host` header field says.
    pub(super) fn host_field(&self) -> &HeaderValue {
        &self.host_field
    }

    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The host as sockets and certificates name it: an IPv6 address without brackets.
    pub fn bare_host(&self) -> &str {
        bare(self.host())
    }

    /// Host and port, the port always given.
    pub fn host_and_port(&self) -> String {
        host_and_port(self.host(), self.port())
    }

    /// The port, given or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 })
    }
}

/// A host as sockets and certificates name it: an IPv6 address without brackets.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// `host:port`; an IPv6 address is in brackets.
pub(super) fn host_and_port(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.url.hash(state);
    }
}

impl Target {
    /// The URL with this path and query at `origin`.
    pub fn new(origin: Arc<Origin>, path_and_query: PathAndQuery, form: Form) -> Self {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(origin.scheme.clone());
        parts.authority = Some(origin.authority.clone());
        parts.path_and_query = Some(path_and_query);
        // All three parts are there, which is all that it asks for.
        let uri = Uri::from_parts(parts).unwrap_or_default();
        Self { origin, uri, form }
    }

    /// Path and query.
    pub fn resource(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_urls_are_taken_apart() {
        for (root_url, url, host, bare, port) in [
            ("https://tc.example.com", "https://tc.example.com", "tc.example.com", "", 443),
            ("http://TC:8080/deep", "http://tc:8080", "tc", "", 8080),
            ("http://[::1]/x", "http://[::1]", "[::1]", "::1", 80),
            ("https://[::1]:81", "https://[::1]:81", "[::1]", "::1", 81),
        ] {
            let origin = Origin::of_root_url(&RootUrl::parse(root_url).unwrap()).unwrap();
            assert_eq!((origin.as_str(), origin.host(), origin.port()), (url, host, port));
            assert_eq!(origin.bare_host(), if bare.is_empty() { host } else { bare });
            assert_eq!(origin.host_and_port(), format!("{host}:{port}"));
            assert_eq!(origin.is_secure(), root_url.starts_with("https"));
        }
        assert_eq!(Origin::of_host("a.example").unwrap().as_str(), "https://a.example");
    }
}
