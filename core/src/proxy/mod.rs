//! What makes it this proxy: where a request goes, what happens to its headers, when it is
//! retried, and what the proxy itself responds with.

mod browser;
mod destination;
mod diagnosis;
mod error;
mod headers;
mod host_policy;
mod retry;
mod root_url;

pub use browser::{BrowserError, reject_browsers};
pub use destination::{Destination, Form, RouteError};
pub use diagnosis::{
    BeyondRestriction, CredentialsProfile, Diagnosis, Finding, MissingScopes, RefusedRequest,
    Restriction, RestrictionOrigin, ServiceError,
};
pub use error::ProxyError;
pub use headers::{
    HeaderRole, ResponseFields, is_chunked_at_most, list_members, names_option, parse_host_field,
};
pub use host_policy::{HostError, HostPattern, HostPatternError, HostPolicy, SpecialAddress};
pub use retry::{Decision, Outcome, Repeatable, RetryPolicy};
pub use root_url::{RootUrl, RootUrlError};
