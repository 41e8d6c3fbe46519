//! Diagnoses why a service refused a request.

use super::content_coding::decode;
use crate::outbound::{Target, UpstreamResponse, call};
use std::time::Duration;
use taskcluster_proxy_core::proxy::{CredentialsProfile, Diagnosis, Form, ServiceError};
use tokio::time::timeout;

/// How long to wait for the body. If it is too short, responses of slow services have no diagnosis. If it
/// is too long, clients wait for the response.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum size of a body that is read, in bytes, both as received and decoded. The services' errors
/// repeat the payload of the request and all scopes.
const MAX_BODY: usize = 1024 * 1024;

/// Determines why a service responded with 401 or 403; the diagnosis is empty if no reason can be found.
/// The body is still forwarded as it was received.
pub(super) async fn diagnose(
    response: &mut UpstreamResponse,
    target: &Target,
    profile: &CredentialsProfile,
) -> Diagnosis {
    if target.form != Form::Service {
        return Diagnosis::default();
    }
    let body = timeout(TIMEOUT, response.body.peek(MAX_BODY)).await.unwrap_or_default();
    let body = body.and_then(|body| decode(&response.head.headers, body, MAX_BODY));
    let error = body.and_then(|body| ServiceError::parse(&body));
    let (head, signed_at) = (&response.head, response.signed_at);
    let refused =
        call::refused(head.status, &head.headers, error.as_ref(), signed_at, target.resource());
    profile.diagnose(&refused)
}
