//! Which scopes a refused request lacks, and whether the restriction, the certificate or the client lacks
//! them.

use super::CredentialsProfile;
use crate::credentials::{Scope, ScopeExpression};
use crate::escaped::Escaped;
use std::fmt;

/// Scopes that a request lacks according to the service. The service compares with the scopes of the
/// restriction or, if there is none, with those of the credentials, with roles expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingScopes {
    /// The restriction does not grant them.
    Restriction {
        /// The scopes that are missing.
        missing: ScopeExpression,
        /// The origin of the restriction.
        origin: RestrictionOrigin,
        /// Whether the credentials grant the missing scopes.
        credentials: CredentialsGrant,
    },
    /// There is no restriction, and the certificate does not grant them.
    Certificate {
        /// The scopes that are missing.
        missing: ScopeExpression,
        /// Whether the certificate names roles, which the service has expanded.
        has_roles: bool,
    },
    /// There is neither a restriction nor a certificate, and the client does not have them.
    Client {
        /// The scopes that are missing.
        missing: ScopeExpression,
        /// The clientId of the credentials.
        client_id: String,
    },
}

/// Whether the credentials grant the scopes that a restriction does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsGrant {
    /// The certificate grants this part of them, which is sufficient.
    Granted(ScopeExpression),
    /// The certificate does not grant this part, and has no role that could.
    NotGranted(ScopeExpression),
    /// The certificate grants this part only if its roles do; only the services know their scopes.
    Roles(ScopeExpression, Vec<Scope>),
    /// There is no certificate; only the services know the scopes of this client.
    Client(String),
}

/// The origin of the scopes to which requests are restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestrictionOrigin {
    /// Whether scopes are on the command line.
    pub command_line: bool,
    /// The task whose scopes are included (`--task-id`).
    pub task_id: Option<String>,
}

impl CredentialsProfile {
    /// Determines why the scopes that the service reports as `missing` are missing. Returns `None` if the
    /// restriction or the certificate has them: then the service's message is about something else.
    pub(super) fn missing_scopes(&self, missing: &ScopeExpression) -> Option<MissingScopes> {
        let certificate = self.certificate.as_ref().map(|certificate| &certificate.scopes[..]);
        match (self.restriction.scopes.scopes(), certificate) {
            (Some(scopes), certificate) => {
                let missing = missing.missing(scopes)?;
                let origin = self.restriction.origin.clone();
                let credentials = match certificate {
                    Some(scopes) => CredentialsGrant::by_certificate(scopes, &missing),
                    None => CredentialsGrant::Client(self.client_id.clone()),
                };
                Some(MissingScopes::Restriction { missing, origin, credentials })
            }
            (None, Some(scopes)) => {
                let missing = missing.missing(scopes)?;
                let has_roles = scopes.iter().any(names_role);
                Some(MissingScopes::Certificate { missing, has_roles })
            }
            (None, None) => {
                let (missing, client_id) = (missing.clone(), self.client_id.clone());
                Some(MissingScopes::Client { missing, client_id })
            }
        }
    }
}

impl CredentialsGrant {
    fn by_certificate(scopes: &[Scope], missing: &ScopeExpression) -> Self {
        let Some(missing) = missing.missing(scopes) else {
            return Self::Granted(missing.granted(scopes));
        };
        let roles: Vec<Scope> = scopes.iter().filter(|scope| names_role(scope)).cloned().collect();
        // Every request has the anonymous role as well, so the scopes of that role are never missing.
        if roles.is_empty() { Self::NotGranted(missing) } else { Self::Roles(missing, roles) }
    }
}

/// Whether the auth service expands a scope to the scopes of roles: it begins with `assume:`, or a scope that
/// begins so matches it. The service's pattern for a trailing star also accepts a colon in front (`:a*`), and
/// `::*`.
fn names_role(scope: &Scope) -> bool {
    let text = scope.as_str();
    let prefix = text.strip_suffix('*').map(|prefix| prefix.strip_prefix(':').unwrap_or(prefix));
    text.starts_with("assume:")
        || prefix.is_some_and(|prefix| prefix == ":" || "assume".starts_with(prefix))
}

impl fmt::Display for RestrictionOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.command_line, &self.task_id) {
            (true, None) => f.write_str("the command line"),
            (false, Some(task_id)) => write!(f, "task {} (--task-id)", Escaped(task_id)),
            (true, Some(task_id)) => {
                write!(f, "the command line and of task {} (--task-id)", Escaped(task_id))
            }
            (false, None) => f.write_str("authorizedScopes"),
        }
    }
}
