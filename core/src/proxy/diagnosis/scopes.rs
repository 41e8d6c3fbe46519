//! Which scopes a refused request lacks, and who does not grant them.

use super::CredentialsProfile;
use crate::credentials::{Scope, ScopeExpression};
use crate::escaped::Escaped;
use std::fmt;

/// Scopes that a request lacks, by the service's verdict on the scopes that count: those of the
/// restriction or, without one, those of the credentials, roles expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingScopes {
    /// The restriction does not grant them.
    Restriction {
        /// What is missing.
        missing: ScopeExpression,
        /// Where the restriction comes from.
        origin: RestrictionOrigin,
        /// Whether the credentials would grant it.
        beyond: BeyondRestriction,
    },
    /// There is no restriction, and the certificate does not grant them.
    Certificate {
        /// What is missing.
        missing: ScopeExpression,
        /// Whether it names roles, which the service has expanded.
        has_roles: bool,
    },
    /// There is neither a restriction nor a certificate, and the client does not have them.
    Client {
        /// What is missing.
        missing: ScopeExpression,
        /// Whose credentials they are.
        client_id: String,
    },
}

/// Whether credentials grant what a restriction does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeyondRestriction {
    /// The certificate does.
    Granted,
    /// The certificate does not grant this, and names no role that could.
    NotGranted(ScopeExpression),
    /// The certificate grants this only if its roles do, and they are known to the services alone.
    Roles(ScopeExpression, Vec<Scope>),
    /// There is no certificate, so the scopes of this client are known to the services alone.
    Client(String),
}

/// Where the scopes come from that requests are restricted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestrictionOrigin {
    /// Some are on the command line.
    pub command_line: bool,
    /// Some are those of this task (`--task-id`).
    pub task_id: Option<String>,
}

impl CredentialsProfile {
    /// Who does not grant what the service says is `missing`. `None`: what is known here contradicts the
    /// service, so that its message is about something else.
    pub(super) fn missing_scopes(&self, missing: &ScopeExpression) -> Option<MissingScopes> {
        let certificate = self.certificate.as_ref().map(|certificate| &certificate.scopes[..]);
        match (self.restriction.scopes.scopes(), certificate) {
            (Some(scopes), certificate) => {
                let missing = missing.missing(scopes)?;
                let origin = self.restriction.origin.clone();
                let beyond = match certificate {
                    Some(scopes) => BeyondRestriction::of_certificate(scopes, &missing),
                    None => BeyondRestriction::Client(self.client_id.clone()),
                };
                Some(MissingScopes::Restriction { missing, origin, beyond })
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

impl BeyondRestriction {
    fn of_certificate(scopes: &[Scope], missing: &ScopeExpression) -> Self {
        let Some(missing) = missing.missing(scopes) else {
            return Self::Granted;
        };
        let roles: Vec<Scope> = scopes.iter().filter(|scope| names_role(scope)).cloned().collect();
        // Every caller has the anonymous role, so what that grants is not missing at all.
        if roles.is_empty() { Self::NotGranted(missing) } else { Self::Roles(missing, roles) }
    }
}

/// Whether the auth service expands a scope to those of a role.
fn names_role(scope: &Scope) -> bool {
    let text = scope.as_str();
    text.starts_with(ROLE) || text.strip_suffix('*').is_some_and(|prefix| ROLE.starts_with(prefix))
}

const ROLE: &str = "assume:";

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
