//! Taskcluster credentials: their parts, signing with them, and verifying requests as the services do.
//!
//! Source: Taskcluster's documentation of Hawk credentials and temporary credentials, and the
//! behaviour of its auth service.

mod authenticate;
mod authorized_scopes;
mod certificate;
mod certificate_text;
mod client;
mod ext;
mod finding;
mod scope;
mod scope_expression;
mod signer;
mod temporary;

pub use crate::json::{JsonError, JsonValue};
pub use authenticate::{AuthenticateError, Client, Verified, authenticate, authenticate_with};
pub use authorized_scopes::AuthorizedScopes;
pub use certificate::Certificate;
pub use certificate_text::CertificateText;
pub use client::{
    AccessToken, ClientId, Credentials, EmptyAccessToken, InvalidClientId, InvalidCredentials,
};
pub use finding::CredentialsFinding;
pub(crate) use finding::HumanDuration;

pub use scope::{
    InvalidScope, Scope, ScopesError, reduce_scopes, satisfies, scopes_from_json,
    scopes_from_value, scopes_to_json,
};
pub use scope_expression::ScopeExpression;
pub use signer::{SignError, Signer};
use temporary::MAX_DURATION;
pub use temporary::{TemporaryCredentials, TemporaryError};

use std::time::Duration;

/// The clock skew that the services tolerate when they check a certificate's start and expiry.
pub const CERTIFICATE_SKEW: Duration = Duration::from_secs(5 * 60);
