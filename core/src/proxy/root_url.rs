use crate::hawk::{UrlError, UrlParts};
use std::fmt;

/// Where a Taskcluster deployment is: `https://tc.example.com`. Trailing slashes do not count.
///
/// ```
/// use taskcluster_proxy_core::proxy::RootUrl;
///
/// assert_eq!(RootUrl::parse("https://TC.example.com/")?.to_string(), "https://tc.example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootUrl {
    text: String,
    /// Where in `text` the path starts: empty, or starts with `/` and does not end in one.
    prefix: usize,
    secure: bool,
    given_port: Option<u16>,
}

/// Why a text is not a root URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootUrlError {
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A URL with a query.
    #[error("expected a root URL such as https://tc.example.com, found one with a query")]
    Query,
}

impl RootUrl {
    /// Reads a root URL.
    ///
    /// # Errors
    ///
    /// It is not an absolute http or https URL, or has a query.
    pub fn parse(text: &str) -> Result<Self, RootUrlError> {
        let url = UrlParts::split(text)?;
        Self::new(&url, &url.encoded_resource())
    }

    /// As [`parse`](Self::parse), of a text that is already in the form that goes over the wire.
    ///
    /// # Errors
    ///
    /// As `parse`, and the path has to be percent-encoded.
    pub fn as_sent(text: &str) -> Result<Self, RootUrlError> {
        let url = UrlParts::as_sent(text)?;
        Self::new(&url, url.resource)
    }

    fn new(url: &UrlParts<'_>, resource: &str) -> Result<Self, RootUrlError> {
        if resource.contains('?') {
            return Err(RootUrlError::Query);
        }
        let (scheme, authority) = (url.scheme(), url.authority());
        Ok(Self {
            text: format!("{scheme}://{authority}{}", resource.trim_end_matches('/')),
            prefix: scheme.len() + "://".len() + authority.len(),
            secure: url.secure,
            given_port: url.given_port,
        })
    }

    /// https rather than http.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host, in lower case, and port where one is given.
    pub fn authority(&self) -> &str {
        let start = if self.secure { "https://" } else { "http://" }.len();
        self.text.get(start..self.prefix).unwrap_or_default()
    }

    /// The port, where one is given.
    pub fn given_port(&self) -> Option<u16> {
        self.given_port
    }

    /// The text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before `/api`; empty for nearly every deployment.
    pub fn prefix(&self) -> &str {
        self.text.get(self.prefix..).unwrap_or_default()
    }
}

impl fmt::Display for RootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for RootUrl {
    type Err = RootUrlError;

    fn from_str(text: &str) -> Result<Self, RootUrlError> {
        Self::parse(text)
    }
}
