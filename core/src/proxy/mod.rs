//! What makes it this proxy: where a request goes, what happens to its headers, when it is tried
//! again, and what the proxy itself answers.

mod browser;
mod destination;
mod diagnosis;
mod error;
mod headers;
mod host_policy;
#[cfg(feature = "http")]
mod retry;
mod root_url;

pub use browser::{BrowserError, reject_browsers};
pub use destination::{Destination, Form, RouteError};
pub use diagnosis::{
    BeyondRestriction, CredentialsProfile, Diagnosis, Finding, MissingScopes, RefusedRequest,
    RestrictionOrigin, ServiceError,
};
pub use error::ProxyError;
pub use headers::{HeaderRole, ReplyHeaders, list_members};
pub use host_policy::{HostError, HostPattern, HostPatternError, HostPolicy, Special};
#[cfg(feature = "http")]
pub use retry::{Decision, Outcome, Repeatable, RetryPolicy};
pub use root_url::{RootUrl, RootUrlError};
