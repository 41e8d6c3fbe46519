//! The scopes of a task, which `--task-id` asks the queue for.

use crate::cli::printable;
use crate::http1::{BodyError, Fields, Framing};
use crate::upstream::{Body, Caller, Origin, Outgoing, ReplayBudget, SendError, Target, Upstream};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::{InvalidScope, Scope};
use taskcluster_proxy_core::proxy::{Form, RootUrl};
use tokio::time::timeout;

/// The largest task definition that is read, in bytes: the queue takes none that is larger.
const MAX_TASK: usize = 10 * 1024 * 1024;

/// A queue that takes longer, all retries included, is out of order; whoever waits for the proxy to
/// listen should hear of that.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a path segment cannot hold as it is: all but the unreserved characters (RFC 3986 section
/// 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why the scopes of a task are not known.
#[derive(Debug, thiserror::Error)]
#[error("could not fetch taskcluster task '{task_id}' : {why}")]
pub struct TaskError {
    task_id: String,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the queue answered {0}{1}")]
    Status(StatusCode, String),
    #[error("its definition is longer than {MAX_TASK} bytes")]
    TooLarge,
    #[error("no answer from the queue within {} seconds", TIMEOUT.as_secs())]
    Timeout,
    #[error("its definition was cut short: {0}")]
    Cut(BodyError),
    #[error("the queue's answer is no task definition with an array of scopes")]
    NoTask,
    #[error(transparent)]
    Scope(#[from] InvalidScope),
}

/// An error as the services shape it.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Asks the queue, unauthenticated, with retries.
///
/// # Errors
///
/// The queue cannot be reached, does not know the task, or answers with something else.
pub async fn fetch_scopes(
    upstream: &Upstream,
    root_url: &RootUrl,
    task_id: &str,
) -> Result<Vec<Scope>, TaskError> {
    let fail = |why| TaskError { task_id: printable(task_id), why };
    tracing::debug!("asking the queue for the scopes of task {task_id:?}");
    let fetched = timeout(TIMEOUT, fetch(upstream, root_url, task_id)).await;
    let scopes = fetched.unwrap_or(Err(Why::Timeout)).map_err(fail)?;
    let scopes = scopes.into_iter().map(Scope::new).collect::<Result<_, _>>();
    scopes.map_err(|error| fail(error.into()))
}

async fn fetch(upstream: &Upstream, root_url: &RootUrl, task_id: &str) -> Result<Vec<String>, Why> {
    let segment = utf8_percent_encode(task_id, SEGMENT);
    let target = Target {
        origin: Arc::new(Origin::of_root_url(root_url)),
        resource: format!("{}/api/queue/v1/task/{segment}", root_url.prefix()),
        form: Form::Service,
    };
    let outgoing = Outgoing {
        method: &Method::GET,
        target: &target,
        fields: &Fields::default(),
        expects_continue: false,
        accepts_trailers: false,
        signer: None,
    };
    let mut nothing = Body::new(Framing::Empty, &Arc::new(ReplayBudget::new(0, 0)));
    let (mut caller, mut attempts) = (Caller::Proxy, 0);
    let exchanged = upstream.exchange(&outgoing, &mut nothing, &mut caller, &mut attempts);
    let mut exchanged = exchanged.await?;
    let status = StatusCode::from_u16(exchanged.answer.status).unwrap_or_default();
    let body = exchanged.read(MAX_TASK).await.map_err(Why::Cut)?.ok_or(Why::TooLarge)?;
    if status != StatusCode::OK {
        return Err(Why::Status(status, message(&body)));
    }
    scopes(&body).ok_or(Why::NoTask)
}

/// The scopes in a task definition; one that does not say has none. Not by a derived struct, which
/// would take an array for a definition.
fn scopes(definition: &[u8]) -> Option<Vec<String>> {
    let mut definition: Map<String, Value> = serde_json::from_slice(definition).ok()?;
    match definition.remove("scopes") {
        None => Some(Vec::new()),
        Some(scopes) => serde_json::from_value(scopes).ok(),
    }
}

/// The first line of what the service says of it.
fn message(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => {
            format!(": {}", printable(refusal.message.lines().next().unwrap_or_default()))
        }
        Err(_) => String::new(),
    }
}
