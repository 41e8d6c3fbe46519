//! A service's response, credentials and a restriction, and the diagnosis that they give.

use crate::service::{authentication_failed, insufficient_scopes};
use serde_json::{Value, json};
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{AuthorizedScopes, Credentials, Scope};
use taskcluster_proxy_core::proxy::{
    CredentialsProfile, Diagnosis, RefusedRequest, Restriction, RestrictionOrigin, ServiceError,
};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What is known when a service refuses a request; by default at the same time, by permanent credentials
/// of client `c/1`, without a restriction.
pub(crate) struct Case {
    pub(crate) profile: Profile,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The `Date` of the response.
    pub(crate) date: Option<Timestamp>,
    pub(crate) now: Timestamp,
    pub(crate) signed_at: Timestamp,
    pub(crate) resource: String,
}

#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) client_id: Option<&'static str>,
    pub(crate) access_token: Option<&'static str>,
    pub(crate) certificate: Option<Value>,
    pub(crate) restriction: Option<(Vec<String>, RestrictionOrigin)>,
}

pub(crate) fn refused(status: u16, body: Vec<u8>) -> Case {
    let (now, resource) = (NOW, "/api/queue/v1/task/x".to_owned());
    let profile = Profile::default();
    Case { profile, status, body, date: Some(now), now, signed_at: now, resource }
}

/// By lib-api, to client `c/1`.
pub(crate) fn lacks(missing: Value) -> Case {
    let required = json!({ "AllOf": [missing, "queue:ping"] });
    refused(403, insufficient_scopes("c/1", &missing, &required))
}

/// By the auth service.
pub(crate) fn unauthenticated(message: &str) -> Case {
    refused(401, authentication_failed(message))
}

impl Case {
    pub(crate) fn certificate(self, scopes: &[&str]) -> Self {
        self.certificate_of(scopes, NOW.minus(HOUR), NOW.plus(HOUR), json!({}))
    }

    pub(crate) fn certificate_of(
        mut self,
        scopes: &[&str],
        start: Timestamp,
        expiry: Timestamp,
        other: Value,
    ) -> Self {
        let mut certificate = json!({
            "version": 1, "scopes": scopes, "start": start.millis(), "expiry": expiry.millis(),
            "seed": "s".repeat(44), "signature": "c2lnbmF0dXJl",
        });
        certificate.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        self.profile.certificate = Some(certificate);
        self
    }

    pub(crate) fn command_line(self, scopes: &[&str]) -> Self {
        let origin = RestrictionOrigin { command_line: true, task_id: None };
        self.restricted(scopes, origin)
    }

    pub(crate) fn restricted(mut self, scopes: &[&str], origin: RestrictionOrigin) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.profile.restriction = Some((scopes, origin));
        self
    }

    /// This machine's clock, and that of the signature.
    pub(crate) fn clocks(self, now: Timestamp, signed_at: Timestamp) -> Self {
        Self { now, signed_at, ..self }
    }

    pub(crate) fn diagnosis(&self) -> Diagnosis {
        let Profile { client_id, access_token, certificate, restriction } = &self.profile;
        let certificate = certificate.as_ref().map(Value::to_string).unwrap_or_default();
        let credentials = Credentials::unchecked(
            client_id.unwrap_or("c/1"),
            access_token.unwrap_or("no-secret"),
            certificate.as_str(),
        );
        let mut limits = Restriction::default();
        if let Some((scopes, from)) = restriction {
            let scopes = scopes.iter().map(|scope| Scope::new(scope.as_str()).unwrap());
            let scopes = AuthorizedScopes::Only(scopes.collect());
            limits = Restriction { scopes, origin: from.clone() };
        }
        CredentialsProfile::new(&credentials, &limits).diagnose(&RefusedRequest {
            status: self.status,
            error: ServiceError::parse(&self.body).as_ref(),
            date: self.date,
            now: self.now,
            signed_at: self.signed_at,
            resource: &self.resource,
        })
    }

    #[track_caller]
    pub(crate) fn gives(&self, expected: &str) {
        let diagnosis = self.diagnosis();
        assert_eq!(diagnosis.to_string(), expected);
        assert_eq!(diagnosis.is_empty(), expected.is_empty());
        assert!(diagnosis.to_header().len() < 1024);
    }
}
