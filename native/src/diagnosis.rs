//! When a service refuses a call: why, as far as the proxy can tell.

use crate::clock;
use crate::upstream::{Exchanged, Target};
use std::time::Duration;
use taskcluster_proxy_core::proxy::{Form, Refusal, Terms};
use tokio::time::timeout;

/// How long an answer's body is waited for, of which a part of the reason can be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a service refused the call that `exchanged` answers; `None` if it did not, or for no reason
/// that can be found here. The body stays to be delivered.
pub(crate) async fn diagnose(
    exchanged: &mut Exchanged,
    target: &Target,
    terms: &Terms,
) -> Option<String> {
    let status = exchanged.answer.status;
    if target.form != Form::Service || !matches!(status, 401 | 403) {
        return None;
    }
    let readable = exchanged.answer.fields.get("content-encoding").is_none();
    let body = match status {
        403 if readable => timeout(PATIENCE, exchanged.peek()).await.unwrap_or_default(),
        _ => None,
    };
    let refusal = Refusal {
        status,
        body: body.as_deref().and_then(|body| std::str::from_utf8(body).ok()),
        date: clock::date_of(&exchanged.answer.fields),
        now: clock::now(),
        resource: &target.resource,
    };
    let findings = terms.diagnose(&refusal);
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
