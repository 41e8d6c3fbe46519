use std::sync::Arc;
use taskcluster_proxy_core::hawk::UrlParts;
use taskcluster_proxy_core::proxy::{Form, RootUrl};

/// Whom a connection leads to: scheme, host and port.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https://tc.example.com`, with the port where one is given, in lower case.
    url: String,
    secure: bool,
    given_port: Option<u16>,
    /// How long the host is.
    host: usize,
}

/// Where a request goes on to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whom it goes to.
    pub origin: Arc<Origin>,
    /// Path and query, byte for byte those of the request.
    pub resource: String,
    /// How the request named it.
    pub form: Form,
}

impl Origin {
    /// Of all services of a deployment.
    pub fn of_root_url(root_url: &RootUrl) -> Self {
        Self::new(root_url.is_secure(), root_url.authority(), root_url.given_port())
    }

    /// A host by its name, in lower case, over https.
    pub fn of_host(host: &str) -> Self {
        Self::new(true, host, None)
    }

    fn new(secure: bool, authority: &str, given_port: Option<u16>) -> Self {
        let scheme = if secure { "https" } else { "http" };
        let port = match given_port {
            Some(_) => authority.len() - authority.rfind(':').unwrap_or(authority.len()),
            None => 0,
        };
        let url = format!("{scheme}://{authority}");
        Self { url, secure, given_port, host: authority.len() - port }
    }

    /// Scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// https rather than http.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host, and port where one is given.
    pub fn authority(&self) -> &str {
        let start = if self.secure { "https://" } else { "http://" }.len();
        self.url.get(start..).unwrap_or_default()
    }

    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.authority().get(..self.host).unwrap_or_default()
    }

    /// The host as sockets and certificates name it: an IPv6 address without brackets.
    pub fn bare_host(&self) -> &str {
        self.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, given or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.given_port.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

impl Target {
    /// The URL, as it is signed.
    pub fn url(&self) -> UrlParts<'_> {
        UrlParts {
            secure: self.origin.secure,
            host: self.origin.host(),
            given_port: self.origin.given_port,
            resource: &self.resource,
        }
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
            let origin = Origin::of_root_url(&RootUrl::parse(root_url).unwrap());
            assert_eq!((origin.as_str(), origin.host(), origin.port()), (url, host, port));
            assert_eq!(origin.bare_host(), if bare.is_empty() { host } else { bare });
            assert_eq!(origin.is_secure(), root_url.starts_with("https"));
        }
        assert_eq!(Origin::of_host("a.example").as_str(), "https://a.example");
    }
}
