//! Why a service refused a request, as far as the proxy can tell.
//!
//! The service's own words decide. What is known of the credentials and of the restriction adds whose
//! scopes are meant and what to do; nothing is said that is not certain.

mod finding;
mod scopes;
mod service_error;

pub use finding::{Diagnosis, Finding};
pub use scopes::{BeyondRestriction, MissingScopes, RestrictionOrigin};
pub use service_error::ServiceError;

use crate::Timestamp;
use crate::credentials::{
    AuthorizedScopes, Credentials, CredentialsFinding, Scope, ScopeExpression,
};
use crate::hawk::MAX_SKEW;
use service_error::Reason;

/// What is known of credentials that helps to tell why a request signed with them was refused. It
/// holds no secret.
#[derive(Clone, Debug)]
pub struct CredentialsProfile {
    client_id: String,
    /// What looks wrong about them at any time.
    form: Vec<CredentialsFinding>,
    certificate: Option<CertificateProfile>,
    restriction: Restriction,
}

#[derive(Clone, Debug)]
struct CertificateProfile {
    start: Option<Timestamp>,
    expiry: Option<Timestamp>,
    scopes: Vec<Scope>,
}

/// The scopes that requests are restricted to, and where they come from.
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
    /// Where the scopes come from.
    pub origin: RestrictionOrigin,
}

/// A request that a service refused with 401 or 403.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest<'a> {
    /// The status of the response.
    pub status: u16,
    /// The body of the response, where it could be read.
    pub error: Option<&'a ServiceError>,
    /// The `Date` of the response, to the second.
    pub date: Option<Timestamp>,
    /// This machine's time of day.
    pub now: Timestamp,
    /// The time in the signature.
    pub signed_at: Timestamp,
    /// Path and query of the request.
    pub resource: &'a str,
}

impl CredentialsProfile {
    /// The profile of `credentials`, with which requests are signed under `restriction`.
    pub fn new(credentials: &Credentials, restriction: &Restriction) -> Self {
        let certificate = credentials.certificate.as_ref();
        Self {
            client_id: credentials.client_id.as_str().to_owned(),
            form: credentials.form_findings().collect(),
            certificate: certificate.map(|certificate| CertificateProfile {
                start: certificate.start(),
                expiry: certificate.expiry(),
                scopes: certificate.scopes().to_vec(),
            }),
            restriction: restriction.clone(),
        }
    }

    /// What looks wrong about the credentials at `now`, which is the services' time where that is known.
    pub fn findings(&self, now: Timestamp) -> Vec<CredentialsFinding> {
        self.form.iter().cloned().chain(self.dates(now)).collect()
    }

    /// Finds out why a service refused a request; the most likely reason comes first, and there may be
    /// none to be found.
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
            (401, reason) => self.unauthenticated(refused, reason),
            (403, Reason::InsufficientScopes { caller, missing }) => {
                let missing = missing.filter(|_| caller.is_none_or(|it| it == self.client_id));
                let missing = missing.and_then(|missing| self.missing_scopes(&missing));
                missing.map(Finding::MissingScopes).into_iter().collect()
            }
            (403, _) => self.form.iter().cloned().map(Finding::Credentials).collect(),
            _ => Vec::new(),
        })
    }

    fn unauthenticated(&self, refused: &RefusedRequest<'_>, reason: Reason<'_>) -> Vec<Finding> {
        // The clock that counts is the service's.
        let service_time = refused.date.unwrap_or(refused.now);
        let temporary = self.certificate.is_some();
        let (client_id, own_id) = (|id: &str| id.to_owned(), self.client_id.clone());
        let (credential, finding) = match reason {
            Reason::BadMac => ("accessToken", Finding::WrongKey { client_id: own_id, temporary }),
            Reason::StaleTimestamp => ("", self.stale(refused)),
            Reason::TwoSchemes => ("", Finding::BewitToo),
            Reason::BeyondCredentials { credentials } => {
                ("", self.beyond_credentials(credentials.as_deref()))
            }
            Reason::ClientNotFound(id) => {
                let issuer = temporary && id != self.client_id;
                let client_id = client_id(id);
                ("clientId", Finding::ClientNotFound { client_id, temporary, issuer })
            }
            Reason::ClientDisabled(id) => {
                ("", Finding::ClientDisabled { client_id: client_id(id) })
            }
            Reason::ClientExpired(id) => ("", Finding::ClientExpired { client_id: client_id(id) }),
            Reason::CertificateExpired | Reason::CertificateNotYetValid => {
                return match self.dates(service_time) {
                    Some(finding) => vec![Finding::Credentials(finding)],
                    None => vec![Finding::CertificateDates],
                };
            }
            Reason::CertificateSignature => ("certificate", Finding::CertificateSignature),
            Reason::CertificateIssuer => ("certificate", Finding::CertificateIssuer),
            Reason::Certificate => return self.form_of("certificate").collect(),
            Reason::InsufficientScopes { .. } | Reason::Other => {
                return self.unknown(refused, service_time);
            }
        };
        self.form_of(credential).chain([finding]).collect()
    }

    /// The service gives no reason that is known here.
    fn unknown(&self, refused: &RefusedRequest<'_>, service_time: Timestamp) -> Vec<Finding> {
        let findings = self.findings(service_time).into_iter();
        let mut findings: Vec<Finding> = findings.map(Finding::Credentials).collect();
        if has_bewit(refused.resource) {
            findings.push(Finding::BewitToo);
        }
        if refused.signed_at.distance(service_time) > MAX_SKEW {
            findings.push(self.stale(refused));
        }
        findings
    }

    fn stale(&self, refused: &RefusedRequest<'_>) -> Finding {
        let RefusedRequest { date, now, .. } = *refused;
        match date {
            Some(date) if now.distance(date) > MAX_SKEW / 3 => {
                Finding::Clock { by: now.distance(date), ahead: now > date }
            }
            _ => Finding::StaleTimestamp,
        }
    }

    fn beyond_credentials(&self, credentials: Option<&[Scope]>) -> Finding {
        let scopes = self.restriction.scopes.scopes();
        let missing = scopes.zip(credentials).and_then(|(scopes, credentials)| {
            let scopes = scopes.iter().cloned().map(ScopeExpression::Scope);
            ScopeExpression::AllOf(scopes.collect()).missing(credentials)
        });
        let origin = self.restriction.origin.clone();
        Finding::RestrictionBeyondCredentials { origin, missing }
    }

    fn form_of(&self, credential: &str) -> impl Iterator<Item = Finding> {
        let findings = self.form.iter().filter(move |finding| finding.credential() == credential);
        findings.cloned().map(Finding::Credentials)
    }

    /// What the dates of the certificate say at `now`, beyond what the services tolerate.
    fn dates(&self, now: Timestamp) -> Option<CredentialsFinding> {
        let CertificateProfile { start, expiry, .. } = *self.certificate.as_ref()?;
        CredentialsFinding::of_dates(start, expiry, now)
    }
}

/// Whether the query has a parameter of that name.
fn has_bewit(resource: &str) -> bool {
    let query = resource.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.starts_with("bewit="))
}
