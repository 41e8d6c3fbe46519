//! The scopes to which requests are restricted.

use super::Scope;

/// The scopes to which requests are restricted (`authorizedScopes`). A request has no other scopes,
/// even if the credentials that sign it do.
///
/// ```
/// use taskcluster_proxy_core::credentials::{AuthorizedScopes, Credentials, Scope, Signer};
///
/// let credentials = Credentials::permanent("tester", "no-secret")?;
/// let task = AuthorizedScopes::Only(vec![Scope::new("queue:get-artifact:*")?]);
/// let signer = Signer::restricted(&credentials, &task)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthorizedScopes {
    /// No restriction: requests have all scopes of the credentials.
    #[default]
    Unrestricted,
    /// Only these scopes. With an empty list no request is allowed that needs a scope.
    Only(Vec<Scope>),
}

impl AuthorizedScopes {
    /// The scopes: `None` means no restriction, an empty slice no scopes.
    pub fn scopes(&self) -> Option<&[Scope]> {
        match self {
            Self::Unrestricted => None,
            Self::Only(scopes) => Some(scopes),
        }
    }
}

/// `None` means no restriction.
impl From<Option<Vec<Scope>>> for AuthorizedScopes {
    fn from(scopes: Option<Vec<Scope>>) -> Self {
        scopes.map_or(Self::Unrestricted, Self::Only)
    }
}
