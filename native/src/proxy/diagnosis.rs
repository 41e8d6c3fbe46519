//! When a service refuses a call: why, as far as the proxy can tell.

use crate::os::clock;
use crate::outbound::{Target, UpstreamResponse};
use http::StatusCode;
use http::header::CONTENT_ENCODING;
use std::time::Duration;
use taskcluster_proxy_core::proxy::{Form, Refusal, Terms};
use tokio::time::timeout;

/// How long a body is waited for, of which a part of the reason can be read.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The longest body that is read for the reason, in bytes.
const MAX_BODY: usize = 72 * 1024;

/// Why a service refused the call that `response` is to; `None` if it did not, or for no reason that
/// can be found here. The body stays to be forwarded.
pub(super) async fn diagnose(
    response: &mut UpstreamResponse,
    target: &Target,
    terms: &Terms,
) -> Option<String> {
    if target.form != Form::Service {
        return None;
    }
    let status = response.head.status;
    let readable = !response.head.headers.contains_key(CONTENT_ENCODING);
    let body = match status {
        StatusCode::FORBIDDEN if readable => {
            timeout(TIMEOUT, response.body.peek(MAX_BODY)).await.unwrap_or_default()
        }
        _ => None,
    };
    let refusal = Refusal {
        status: status.as_u16(),
        body: body.as_deref().and_then(|body| std::str::from_utf8(body).ok()),
        date: clock::date_of(&response.head.headers),
        now: clock::now(),
        resource: target.resource(),
    };
    let findings = terms.diagnose(&refusal);
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
