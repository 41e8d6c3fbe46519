//! The decisions of the proxy: where a request is forwarded, which header fields are forwarded, when a
//! request is retried, why a service refused it, and the responses of the proxy itself.

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
    CredentialsGrant, CredentialsProfile, Diagnosis, Finding, MissingScopes, RefusedRequest,
    Restriction, RestrictionOrigin, ServiceError,
};
pub use error::ProxyError;
pub use headers::{
    HeaderRole, ResponseFields, is_chunked_at_most, list_members, names_option, parse_host_field,
};
pub use host_policy::{HostError, HostPattern, HostPatternError, HostPolicy, SpecialAddress};
pub use retry::{Decision, Outcome, Replayable, RetryPolicy};
pub use root_url::{RootUrl, RootUrlError};
