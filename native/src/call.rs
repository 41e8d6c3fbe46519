//! Calls of the proxy's own to the services of a deployment.

use crate::cli::printable;
use crate::http1::{BodyError, Fields, Framing};
use crate::upstream::{Body, Caller, Origin, Outgoing, ReplayBudget, SendError, Target, Upstream};
use http::{Method, StatusCode};
use serde::Deserialize;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{Form, RootUrl};

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
    /// All of the body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// None came.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Its body did not come to the end.
    #[error("the answer was cut short: {0}")]
    Cut(BodyError),
    /// Its body is longer than anything that it should be.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// Gets `path`, which is percent-encoded and starts with `/api`; the same way as requests of tasks,
/// retries included. `limit`: the longest body, in bytes.
///
/// # Errors
///
/// No answer comes, or not all of it, or more than that.
pub async fn get(
    upstream: &Upstream,
    root_url: &RootUrl,
    path: &str,
    signer: Option<&Signer>,
    limit: usize,
) -> Result<Answer, CallError> {
    let target = Target {
        origin: Arc::new(Origin::of_root_url(root_url)),
        resource: [root_url.prefix(), path].concat(),
        form: Form::Service,
    };
    let outgoing = Outgoing {
        method: &Method::GET,
        target: &target,
        fields: &Fields::default(),
        expects_continue: false,
        accepts_trailers: false,
        signer,
    };
    let mut nothing = Body::new(Framing::Empty, &Arc::new(ReplayBudget::new(0, 0)));
    let (mut caller, mut attempts) = (Caller::Proxy, 0);
    let exchanged = upstream.exchange(&outgoing, &mut nothing, &mut caller, &mut attempts);
    let mut exchanged = exchanged.await?;
    let status = StatusCode::from_u16(exchanged.answer.status).unwrap_or_default();
    let fields = std::mem::take(&mut exchanged.answer.fields);
    let body = exchanged.read(limit).await.map_err(CallError::Cut)?;
    Ok(Answer { status, fields, body: body.ok_or(CallError::TooLarge(limit))? })
}

/// An error as the services shape it.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// `: ` and the first line of what a service says of its error; nothing where it says nothing.
pub fn message(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => {
            format!(": {}", printable(refusal.message.lines().next().unwrap_or_default()))
        }
        Err(_) => String::new(),
    }
}
