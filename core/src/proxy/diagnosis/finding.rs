//! The text of a diagnosis: in full for the log, and shortened for a header field.

use super::scopes::{CredentialsGrant, MissingScopes, RestrictionOrigin};
use crate::credentials::{CredentialsFinding, HumanDuration, Scope, ScopeExpression};
use crate::escaped::Escaped;
use crate::hawk::MAX_SKEW;
use std::fmt::{self, Write};
use std::time::Duration;

/// Why a service refused a request: the findings, with the most likely reason first.
/// [`Display`](fmt::Display) writes all of them in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis(pub Vec<Finding>);

/// A probable reason why a service refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The credentials look wrong.
    Credentials(CredentialsFinding),
    /// The URL has a bewit, and the proxy added an `Authorization` header.
    BewitAndHeader,
    /// This machine's clock is wrong.
    Clock {
        /// The difference from the service's clock.
        by: Duration,
        /// Whether this machine's clock is ahead of the service's.
        ahead: bool,
    },
    /// The signature was too old or too new for the service. The clocks agree, or the service's is not known.
    StaleTimestamp,
    /// The signature was too old or too new for the service, though its time agrees with the `Date` of the
    /// response.
    DateRefused,
    /// The service received no signature, although the proxy signed the request.
    NoSignature,
    /// The request was signed with another key than the service expects.
    WrongKey {
        /// The client whose key is expected.
        client_id: String,
        /// Whether there is a certificate.
        temporary: bool,
    },
    /// The client of the credentials, or the issuer of the certificate, does not exist.
    ClientNotFound {
        /// The client.
        client_id: String,
        /// Whether there is a certificate.
        temporary: bool,
        /// Whether the client is the issuer of the certificate.
        issuer: bool,
    },
    /// The client is disabled.
    ClientDisabled {
        /// The client.
        client_id: String,
    },
    /// The client has expired.
    ClientExpired {
        /// The client.
        client_id: String,
    },
    /// The service says that the certificate is not valid at this time, although it is according to its
    /// dates and the `Date` of the response.
    CertificateDates,
    /// The certificate's signature is wrong.
    CertificateSignature,
    /// The issuer of the certificate may not issue credentials for this client.
    CertificateClientId {
        /// The clientId of the credentials.
        client_id: String,
    },
    /// The issuer of the certificate does not have all of its scopes.
    CertificateScopes,
    /// The service does not accept the certificate for another reason.
    CertificateRefused {
        /// The reason in the service's words.
        message: String,
    },
    /// Requests are restricted to scopes that the credentials do not have.
    RestrictionBeyondCredentials {
        /// The origin of the restriction.
        origin: RestrictionOrigin,
        /// The scopes that the credentials do not have, if they are known.
        missing: Option<ScopeExpression>,
    },
    /// The request needs scopes that it does not have.
    MissingScopes(MissingScopes),
    /// The upstream requires a `Content-Length` (411), and the request body was sent chunked.
    LengthRequired,
}

impl Diagnosis {
    /// Whether there are no findings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text for a header field: printable ASCII, and at most 1000 characters. Scopes are left out if
    /// there are many.
    pub fn to_header(&self) -> String {
        let shorter = (0..=MAX_HEADER_SCOPES).rev().map(|scopes| self.text(scopes));
        let mut text = shorter
            .into_iter()
            .find(|text| text.len() <= MAX_HEADER)
            .unwrap_or_else(|| self.text(0))
            .replace(|c: char| !matches!(c, ' '..='~'), "?");
        if text.len() > MAX_HEADER {
            text.truncate(MAX_HEADER - ELLIPSIS.len());
            text.push_str(ELLIPSIS);
        }
        text
    }

    /// The text, with at most `max_scopes` scopes of each expression.
    fn text(&self, max_scopes: usize) -> String {
        let mut text = String::new();
        for (index, finding) in self.0.iter().enumerate() {
            text.push_str(if index > 0 { "; " } else { "" });
            // Writing to a String cannot fail.
            let _ = finding.write(&mut text, max_scopes);
        }
        text
    }
}

/// The maximum length of the header field. Clients limit the header section of a response; Node to 16 KiB.
const MAX_HEADER: usize = 1000;

/// The maximum number of scopes of one expression in the header field.
const MAX_HEADER_SCOPES: usize = 20;

const ELLIPSIS: &str = "...";

/// The advice if the parts of credentials may be of different ones.
const SAME: &str = "pass the clientId, accessToken and certificate of the same credentials (permanent \
                    credentials have no certificate)";

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(usize::MAX))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, usize::MAX)
    }
}

impl Finding {
    fn write(&self, f: &mut impl Write, max_scopes: usize) -> fmt::Result {
        match self {
            Self::Credentials(finding) => write!(f, "{finding}"),
            Self::LengthRequired => f.write_str(
                "the upstream requires a Content-Length, and the client sent the request body chunked: \
                 the proxy adds the length if the body fits the replay buffer (--replay-buffer) and has \
                 no trailers; for this body the client has to send it",
            ),
            Self::BewitAndHeader => f.write_str(
                "the URL has a bewit, and services refuse requests that also have the proxy's \
                 signature: request it without the proxy, or without the bewit",
            ),
            Self::Clock { by, ahead } => {
                let direction = if *ahead { "ahead of" } else { "behind" };
                let by = HumanDuration(*by);
                write!(f, "this machine's clock is {by} {direction} the service's: set it")
            }
            Self::StaleTimestamp => write!(
                f,
                "the time in the signature differs by more than {} minutes from the service's: was \
                 this machine's clock changed, or the request delayed?",
                MAX_SKEW.as_secs() / 60
            ),
            Self::DateRefused => f.write_str(
                "the service refuses the time in the signature, which agrees with the Date of its \
                 response: the Date is not the service's (a gateway may set it), or the clocks of the \
                 deployment differ",
            ),
            Self::NoSignature => f.write_str(
                "the service received no signature: something between the proxy and the service \
                 removes the Authorization header",
            ),
            Self::WrongKey { client_id, temporary } => {
                let client_id = Escaped(client_id);
                f.write_str("the signature does not match (Bad mac): the accessToken is not ")?;
                match temporary {
                    true => write!(f, "that of the certificate of client \"{client_id}\"")?,
                    false => write!(
                        f,
                        "that of client \"{client_id}\", or it belongs to temporary credentials, \
                         which also need their certificate"
                    )?,
                }
                f.write_str(
                    "; if the accessToken is right, something between the proxy and the service \
                     changes the host, the port, the path or the query",
                )
            }
            Self::ClientNotFound { client_id, temporary, issuer } => {
                write!(f, "the deployment has no client \"{}\"", Escaped(client_id))?;
                f.write_str(if *issuer { ", which issued the certificate" } else { "" })?;
                f.write_str(match temporary {
                    true => ": the credentials are of another deployment, or the client was deleted",
                    false => {
                        ": if these are temporary credentials, pass their certificate as well \
                         (TASKCLUSTER_CERTIFICATE, --certificate, or `certificate` in PUT \
                         /credentials); otherwise they are of another deployment, or the client was \
                         deleted"
                    }
                })
            }
            Self::ClientDisabled { client_id } => {
                let client_id = Escaped(client_id);
                write!(f, "client \"{client_id}\" is disabled: enable it, or use another one")
            }
            Self::ClientExpired { client_id } => {
                let client_id = Escaped(client_id);
                write!(f, "client \"{client_id}\" has expired: extend it, or use another one")
            }
            Self::CertificateDates => f.write_str(
                "the service says that the certificate is not valid at this time: get new \
                 credentials, and check the clocks of this machine and of the issuer",
            ),
            Self::CertificateSignature => f.write_str(
                "the signature of the certificate is not valid: the certificate and the clientId do \
                 not belong to the same credentials, or the issuer's accessToken was reset",
            ),
            Self::CertificateClientId { client_id } => write!(
                f,
                "the issuer of the certificate may not issue credentials for client \"{}\": {SAME}, or \
                 grant the issuer the scope that the response names",
                Escaped(client_id)
            ),
            Self::CertificateScopes => write!(
                f,
                "the issuer of the certificate does not have all of its scopes: {SAME}, or grant the \
                 issuer the scopes"
            ),
            Self::CertificateRefused { message } => {
                write!(f, "the service does not accept the certificate: {}", Escaped(message))
            }
            Self::RestrictionBeyondCredentials { origin, missing } => {
                write!(f, "requests are restricted to scopes (those of {origin}) ")?;
                f.write_str("that the credentials do not have")?;
                if let Some(missing) = missing {
                    f.write_str(": ")?;
                    write_expression(f, missing, max_scopes)?;
                }
                f.write_str(
                    "; services refuse every request that needs a scope until these are removed from \
                     the restriction or granted to the credentials",
                )
            }
            Self::MissingScopes(missing) => missing.write(f, max_scopes),
        }
    }
}

impl MissingScopes {
    fn write(&self, f: &mut impl Write, max_scopes: usize) -> fmt::Result {
        let (Self::Restriction { missing, .. }
        | Self::Certificate { missing, .. }
        | Self::Client { missing, .. }) = self;
        f.write_str("the request needs ")?;
        write_expression(f, missing, max_scopes)?;
        f.write_str(", which ")?;
        match self {
            Self::Restriction { missing, origin, credentials } => {
                write!(f, "the scopes that requests are restricted to (those of {origin}) ")?;
                f.write_str("do not grant; ")?;
                credentials.write(f, missing, max_scopes)
            }
            Self::Certificate { has_roles: false, .. } => {
                f.write_str("the certificate does not grant")
            }
            Self::Certificate { has_roles: true, .. } => {
                f.write_str("the certificate, with the roles that it names, does not grant")
            }
            Self::Client { client_id, .. } => write!(
                f,
                "client \"{}\" does not have: grant it to the client or to one of its roles",
                Escaped(client_id)
            ),
        }
    }
}

impl CredentialsGrant {
    /// `missing` are the scopes that the restriction does not grant; the text before names them.
    fn write(
        &self,
        f: &mut impl Write,
        missing: &ScopeExpression,
        max_scopes: usize,
    ) -> fmt::Result {
        let it = |f: &mut _, part: &ScopeExpression| match part == missing {
            true => Write::write_str(f, "it"),
            false => write_expression(f, part, max_scopes),
        };
        match self {
            Self::Granted(part) => {
                f.write_str("the certificate grants ")?;
                it(f, part)?;
                f.write_str(": add that to the restriction")
            }
            Self::NotGranted(part) => {
                f.write_str("the certificate does not grant ")?;
                it(f, part)?;
                f.write_str(" either")
            }
            Self::Roles(part, roles) => {
                f.write_str("whether the certificate grants ")?;
                it(f, part)?;
                f.write_str(" depends on its roles (")?;
                write_scopes(f, roles, max_scopes)?;
                f.write_str("), which only the services know")
            }
            Self::Client(client_id) => {
                let client_id = Escaped(client_id);
                write!(f, "only the services know whether client \"{client_id}\" has it")
            }
        }
    }
}

/// Writes an expression with at most `max_scopes` scopes, and the number of scopes that are left out.
fn write_expression(
    f: &mut impl Write,
    expression: &ScopeExpression,
    max_scopes: usize,
) -> fmt::Result {
    if max_scopes == 0 {
        return match expression.scope_count() {
            1 => f.write_str("a scope"),
            count => write!(f, "a combination of {count} scopes"),
        };
    }
    write_part(f, expression, &mut { max_scopes })
}

fn write_part(f: &mut impl Write, expression: &ScopeExpression, left: &mut usize) -> fmt::Result {
    let (operator, items) = match expression {
        ScopeExpression::Scope(scope) => {
            *left = left.saturating_sub(1);
            return write_scope(f, scope);
        }
        ScopeExpression::AllOf(items) => ("all of", items),
        ScopeExpression::AnyOf(items) => ("one of", items),
    };
    write!(f, "{operator} [")?;
    let mut hidden = 0;
    for (index, item) in items.iter().enumerate() {
        if *left == 0 {
            hidden += item.scope_count();
            continue;
        }
        f.write_str(if index > 0 { ", " } else { "" })?;
        write_part(f, item, left)?;
    }
    write_hidden(f, hidden)?;
    f.write_char(']')
}

fn write_scopes(f: &mut impl Write, scopes: &[Scope], max_scopes: usize) -> fmt::Result {
    let max_scopes = max_scopes.max(1);
    for (index, scope) in scopes.iter().take(max_scopes).enumerate() {
        f.write_str(if index > 0 { ", " } else { "" })?;
        write_scope(f, scope.as_str())?;
    }
    write_hidden(f, scopes.len().saturating_sub(max_scopes))
}

fn write_scope(f: &mut impl Write, scope: &str) -> fmt::Result {
    write!(f, "\"{}\"", Escaped(scope))
}

fn write_hidden(f: &mut impl Write, count: usize) -> fmt::Result {
    if count == 0 { Ok(()) } else { write!(f, ", and {count} more") }
}
