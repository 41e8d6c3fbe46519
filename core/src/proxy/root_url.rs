use crate::hawk::{HttpUrl, UrlError};
use http::uri::{Authority, PathAndQuery, Scheme};
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
    scheme: Scheme,
    authority: Authority,
    /// Empty, or a path that starts with `/` and does not end in one.
    prefix: String,
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
        let url = HttpUrl::parse(text)?;
        let uri = url.as_uri().clone().into_parts();
        let resource = uri.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        if resource.query().is_some() {
            return Err(RootUrlError::Query);
        }
        let (Some(scheme), Some(authority)) = (uri.scheme, uri.authority) else {
            return Err(UrlError::Empty.into());
        };
        Ok(Self { scheme, authority, prefix: resource.path().trim_end_matches('/').to_owned() })
    }

    /// http or https.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host, in lower case, and port where one is given.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What stands before `/api`; empty for nearly every deployment.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for RootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl std::str::FromStr for RootUrl {
    type Err = RootUrlError;

    fn from_str(text: &str) -> Result<Self, RootUrlError> {
        Self::parse(text)
    }
}
