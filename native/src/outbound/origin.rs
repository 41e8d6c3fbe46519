//! The origin and the URL to which a request is forwarded.

use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{Form, RootUrl};
use url::Host;

/// Scheme, host and port of an upstream.
#[derive(Debug)]
pub struct Origin {
    /// `https://tc.example.com`, in lower case, and the port if it is not the default of the scheme.
    url: String,
    scheme: Scheme,
    host: Host,
    port: u16,
    authority: Authority,
    /// The authority as the value of a `Host` header field.
    host_field: HeaderValue,
}

/// The URL to which a request is forwarded.
#[derive(Clone, Debug)]
pub struct Target {
    /// The origin of the upstream.
    pub origin: Arc<Origin>,
    /// The absolute URL. Path and query are those of the request, byte for byte.
    pub uri: Uri,
    /// The form in which the request named the target.
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
        Self::new(scheme, root_url.authority(), root_url.host().clone(), root_url.port())
    }

    /// The origin of a host, over https.
    ///
    /// # Errors
    ///
    /// The host cannot be part of a URI.
    pub fn of_host(host: Host) -> Result<Self, InvalidUri> {
        Self::new(Scheme::HTTPS, &host.to_string(), host, 443)
    }

    fn new(scheme: Scheme, authority: &str, host: Host, port: u16) -> Result<Self, InvalidUri> {
        let url = format!("{scheme}://{authority}");
        let authority = Authority::try_from(authority)?;
        // Each character of an authority is allowed in a header field.
        let host_field =
            HeaderValue::try_from(authority.as_str()).unwrap_or(HeaderValue::from_static(""));
        Ok(Self { url, scheme, host, port, authority, host_field })
    }

    /// The URL of the origin: scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether the scheme is https rather than http.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The value of the `Host` header field.
    pub(super) fn host_field(&self) -> &HeaderValue {
        &self.host_field
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, explicit or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, even if the port is the default.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
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
        // This cannot fail: all three parts are set.
        let uri = Uri::from_parts(parts).unwrap_or_default();
        Self { origin, uri, form }
    }

    /// The path and query.
    pub fn resource(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_root_url() {
        for (root_url, url, host, port) in [
            ("https://tc.example.com", "https://tc.example.com", "tc.example.com", 443),
            ("http://TC:8080/deep", "http://tc:8080", "tc", 8080),
            ("http://[::1]/x", "http://[::1]", "[::1]", 80),
            ("https://[::1]:81", "https://[::1]:81", "[::1]", 81),
            ("http://0x7f.1:80", "http://127.0.0.1", "127.0.0.1", 80),
        ] {
            let origin = Origin::of_root_url(&RootUrl::parse(root_url).unwrap()).unwrap();
            let found = (origin.as_str(), origin.host().to_string(), origin.port());
            assert_eq!(found, (url, host.to_owned(), port));
            assert_eq!(origin.host_and_port(), format!("{host}:{port}"));
            assert_eq!(origin.is_secure(), root_url.starts_with("https"));
        }
        let host = Host::parse("a.example").unwrap();
        assert_eq!(Origin::of_host(host).unwrap().as_str(), "https://a.example");
    }
}
