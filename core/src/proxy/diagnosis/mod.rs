//! The diagnosis of a request that a service refused.
//!
//! It is based on the service's error message. The credentials and the restriction show which scopes are
//! meant and what to do. The diagnosis states only what is certain.

mod finding;
mod scopes;
mod service_error;

pub use finding::{Diagnosis, Finding};
pub use scopes::{CredentialsGrant, MissingScopes, RestrictionOrigin};
pub use service_error::ServiceError;

use crate::Timestamp;
use crate::credentials::{
    AuthorizedScopes, Credentials, CredentialsFinding, Scope, ScopeExpression,
};
use crate::hawk::MAX_SKEW;
use service_error::Reason;

/// The properties of credentials that help to diagnose why a request signed with them was refused. It
/// contains no secret.
#[derive(Clone, Debug)]
pub struct CredentialsProfile {
    client_id: String,
    /// The findings that do not depend on the time.
    timeless_findings: Vec<CredentialsFinding>,
    certificate: Option<CertificateProfile>,
    restriction: Restriction,
}

#[derive(Clone, Debug)]
struct CertificateProfile {
    start: Option<Timestamp>,
    expiry: Option<Timestamp>,
    scopes: Vec<Scope>,
}

/// The scopes to which requests are restricted, and their origin.
///
/// ```
/// use taskcluster_proxy_core::credentials::{AuthorizedScopes, Scope};
/// use taskcluster_proxy_core::proxy::{Restriction, RestrictionOrigin};
///
/// let restriction = Restriction {
///     scopes: AuthorizedScopes::Only(vec![Scope::new("queue:ping")?]),
///     origin: RestrictionOrigin { command_line: true, task_id: None },
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Restriction {
    /// The authorizedScopes of requests.
    pub scopes: AuthorizedScopes,
    /// The origin of the scopes.
    pub origin: RestrictionOrigin,
}

/// A request that a service refused with 401 or 403.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest<'a> {
    /// The status of the response.
    pub status: u16,
    /// The error in the body of the response, if it could be parsed.
    pub error: Option<&'a ServiceError>,
    /// The `Date` of the response, to the second.
    pub date: Option<Timestamp>,
    /// This machine's time.
    pub now: Timestamp,
    /// The time in the signature.
    pub signed_at: Timestamp,
    /// The path and query of the request.
    pub resource: &'a str,
}

impl CredentialsProfile {
    /// The profile of `credentials`, with which requests are signed under `restriction`.
    pub fn new(credentials: &Credentials, restriction: &Restriction) -> Self {
        let certificate = credentials.certificate.as_ref();
        Self {
            client_id: credentials.client_id.as_str().to_owned(),
            timeless_findings: credentials.timeless_findings().collect(),
            certificate: certificate.map(|certificate| CertificateProfile {
                start: certificate.start(),
                expiry: certificate.expiry(),
                scopes: certificate.scopes().to_vec(),
            }),
            restriction: restriction.clone(),
        }
    }

    /// What looks wrong about the credentials at `now`: the services' time if it is known, else this
    /// machine's.
    pub fn findings(&self, now: Timestamp) -> Vec<CredentialsFinding> {
        self.timeless_findings.iter().cloned().chain(self.date_finding(now)).collect()
    }

    /// Determines why a service refused a request. The most likely reason comes first. The diagnosis is
    /// empty if no reason is found.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::Credentials};
    /// use taskcluster_proxy_core::proxy::{CredentialsProfile, RefusedRequest, ServiceError};
    ///
    /// let credentials = Credentials::permanent("tester", "no-secret")?;
    /// let profile = CredentialsProfile::new(&credentials, &Default::default());
    /// let now = Timestamp::from_secs(1_767_225_600);
    /// let body = br#"{"code":"AuthenticationFailed","message":"Unauthorized: Stale timestamp"}"#;
    /// let error = ServiceError::parse(body);
    /// let refused = RefusedRequest {
    ///     status: 401,
    ///     error: error.as_ref(),
    ///     date: Some(Timestamp::from_secs(1_767_229_200)),
    ///     now,
    ///     signed_at: now,
    ///     resource: "/api/queue/v1/ping",
    /// };
    /// let diagnosis = profile.diagnose(&refused).to_string();
    /// assert_eq!(diagnosis, "this machine's clock is 1h behind the service's: set it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn diagnose(&self, refused: &RefusedRequest<'_>) -> Diagnosis {
        let reason = refused.error.map_or(Reason::Other, ServiceError::reason);
        Diagnosis(match (refused.status, reason) {
            (401, reason) => self.diagnose_unauthorized(refused, reason),
            (403, Reason::InsufficientScopes { client_id: Some(NOT_SIGNED), .. }) => {
                vec![Finding::NoSignature]
            }
            (403, Reason::InsufficientScopes { client_id, missing }) => {
                let missing = missing.filter(|_| client_id.is_none_or(|it| it == self.client_id));
                let missing = missing.and_then(|missing| self.missing_scopes(&missing));
                missing.map(Finding::MissingScopes).into_iter().collect()
            }
            (403, _) => self.timeless_findings.iter().cloned().map(Finding::Credentials).collect(),
            _ => Vec::new(),
        })
    }

    fn diagnose_unauthorized(
        &self,
        refused: &RefusedRequest<'_>,
        reason: Reason<'_>,
    ) -> Vec<Finding> {
        // The service compares with its own clock. Without a Date the time in the signature is the best guess.
        let service_time = refused.date.unwrap_or(refused.signed_at);
        let temporary = self.certificate.is_some();
        let client_id = self.client_id.clone();
        let (credential, finding) = match reason {
            Reason::BadMac => ("accessToken", Finding::WrongKey { client_id, temporary }),
            Reason::StaleTimestamp => ("", time_finding(refused)),
            Reason::TwoSchemes => ("", Finding::BewitAndHeader),
            Reason::BeyondCredentials { credentials } => {
                ("", self.beyond_credentials(credentials.as_deref()))
            }
            Reason::ClientNotFound(id) => {
                let issuer = temporary && id != client_id;
                let client_id = id.to_owned();
                ("clientId", Finding::ClientNotFound { client_id, temporary, issuer })
            }
            Reason::ClientDisabled(id) => {
                ("", Finding::ClientDisabled { client_id: id.to_owned() })
            }
            Reason::ClientExpired(id) => ("", Finding::ClientExpired { client_id: id.to_owned() }),
            Reason::CertificateExpired => {
                let is_named = |it: &_| matches!(it, CredentialsFinding::Expired { .. });
                return vec![self.certificate_dates(service_time, is_named)];
            }
            Reason::CertificateNotYetValid => {
                let is_named = |it: &_| matches!(it, CredentialsFinding::NotYetValid { .. });
                return vec![self.certificate_dates(service_time, is_named)];
            }
            Reason::CertificateSignature => ("certificate", Finding::CertificateSignature),
            Reason::CertificateClientId => {
                ("certificate", Finding::CertificateClientId { client_id })
            }
            Reason::CertificateScopes => ("certificate", Finding::CertificateScopes),
            Reason::Certificate(message) => {
                ("certificate", Finding::CertificateRefused { message: message.to_owned() })
            }
            Reason::InsufficientScopes { .. } | Reason::Other => {
                return self.diagnose_without_reason(refused, service_time);
            }
        };
        self.findings_about(credential).chain([finding]).collect()
    }

    /// Diagnoses a 401 for which the service gives no known reason.
    fn diagnose_without_reason(
        &self,
        refused: &RefusedRequest<'_>,
        service_time: Timestamp,
    ) -> Vec<Finding> {
        let findings = self.findings(service_time).into_iter();
        let mut findings: Vec<Finding> = findings.map(Finding::Credentials).collect();
        if refused.error.is_none() && has_bewit(refused.resource) {
            findings.push(Finding::BewitAndHeader);
        }
        if refused.date.is_some_and(|date| refused.signed_at.distance(date) > MAX_SKEW) {
            findings.push(time_finding(refused));
        }
        findings
    }

    fn beyond_credentials(&self, credentials: Option<&[Scope]>) -> Finding {
        let scopes = self.restriction.scopes.scopes();
        let missing = scopes.zip(credentials).and_then(|(scopes, credentials)| {
            let scopes = scopes.iter().cloned().map(ScopeExpression::from);
            ScopeExpression::AllOf(scopes.collect()).missing(credentials)
        });
        let origin = self.restriction.origin.clone();
        Finding::RestrictionBeyondCredentials { origin, missing }
    }

    /// The time-independent findings about one part of the credentials.
    fn findings_about(&self, credential: &str) -> impl Iterator<Item = Finding> {
        let findings = self.timeless_findings.iter();
        let about = findings.filter(move |finding| finding.credential() == credential);
        about.cloned().map(Finding::Credentials)
    }

    /// The finding about the dates of the certificate, if it is of the kind that the service names.
    fn certificate_dates(
        &self,
        service_time: Timestamp,
        is_named: impl Fn(&CredentialsFinding) -> bool,
    ) -> Finding {
        let finding = self.date_finding(service_time).filter(is_named);
        finding.map_or(Finding::CertificateDates, Finding::Credentials)
    }

    /// The finding about the dates of the certificate at `now`.
    fn date_finding(&self, now: Timestamp) -> Option<CredentialsFinding> {
        let CertificateProfile { start, expiry, .. } = *self.certificate.as_ref()?;
        CredentialsFinding::from_dates(start, expiry, now)
    }
}

/// The finding for a signature that is too old or too new for the service.
fn time_finding(refused: &RefusedRequest<'_>) -> Finding {
    let RefusedRequest { date, now, signed_at, .. } = *refused;
    match date {
        Some(date) if signed_at.distance(date) <= MAX_SKEW / 3 => Finding::DateRefused,
        Some(date) if now.distance(date) > MAX_SKEW / 3 => {
            Finding::Clock { by: now.distance(date), ahead: now > date }
        }
        _ => Finding::StaleTimestamp,
    }
}

/// Whether the query has a bewit parameter as the services' query parser reads it, which ignores an empty one.
/// [`split_bewit`](crate::hawk::split_bewit) reads it as hawk does.
fn has_bewit(resource: &str) -> bool {
    let query = resource.split_once('?').map_or("", |(_, query)| query);
    let bewit = |parameter: &str| parameter.strip_prefix("bewit=").is_some_and(|it| !it.is_empty());
    query.split('&').any(bewit)
}

/// What the services write instead of a clientId if a request has no signature.
const NOT_SIGNED: &str = "auth-failed:no-auth";
