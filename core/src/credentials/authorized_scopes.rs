//! What requests are restricted to.

use super::Scope;

/// What requests are restricted to, whatever the credentials allow that sign them (`authorizedScopes`).
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
    /// No restriction: all that the credentials allow.
    #[default]
    Unrestricted,
    /// These scopes. With none of them nothing is allowed that needs a scope.
    Only(Vec<Scope>),
}

impl AuthorizedScopes {
    /// The scopes; `None` is no restriction, `Some([])` is no scopes.
    pub fn scopes(&self) -> Option<&[Scope]> {
        match self {
            Self::Unrestricted => None,
            Self::Only(scopes) => Some(scopes),
        }
    }
}

/// `None` is no restriction.
impl From<Option<Vec<Scope>>> for AuthorizedScopes {
    fn from(scopes: Option<Vec<Scope>>) -> Self {
        scopes.map_or(Self::Unrestricted, Self::Only)
    }
}
