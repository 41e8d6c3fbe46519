//! The root URL of a Taskcluster deployment.

use crate::hawk::{UrlError, parse_url};
use std::fmt;
use url::{Host, Position, Url};

/// The URL of a Taskcluster deployment, such as `https://tc.example.com`. Trailing slashes are ignored.
///
/// ```
/// use taskcluster_proxy_core::proxy::RootUrl;
///
/// assert_eq!(RootUrl::parse("https://TC.example.com/")?.to_string(), "https://tc.example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootUrl {
    url: Url,
    host: Host,
    port: u16,
}

/// Why a text is not a root URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootUrlError {
    /// The text is not an absolute http or https URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The URL has a query.
    #[error("expected a root URL such as https://tc.example.com, found one with a query")]
    Query,
}

impl RootUrl {
    /// Reads a root URL.
    ///
    /// # Errors
    ///
    /// The text is not an absolute http or https URL, or the URL has a query.
    pub fn parse(text: &str) -> Result<Self, RootUrlError> {
        let mut url = parse_url(text)?;
        if url.query().is_some() {
            return Err(RootUrlError::Query);
        }
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let host = url.host().ok_or(UrlError::Host("found none"))?.to_owned();
        let port = url.port_or_known_default().ok_or(UrlError::Port)?;
        Ok(Self { url, host, port })
    }

    /// Whether the scheme is https rather than http.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, explicit or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host in lower case, and the port if it is not the default of the scheme.
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The path before `/api`; empty for nearly every deployment.
    pub fn prefix(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

impl fmt::Display for RootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
