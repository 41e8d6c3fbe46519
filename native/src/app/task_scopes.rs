//! Fetches the scopes of the task of `--task-id` from the queue.

use crate::outbound::Outbound;
use crate::outbound::call::{self, CallError};
use crate::telemetry::printable;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::time::Duration;
use taskcluster_proxy_core::credentials::{Credentials, InvalidScope, Scope, Signer};
use taskcluster_proxy_core::proxy::{
    CredentialsProfile, Finding, Restriction, RestrictionOrigin, RootUrl,
};
use tokio::time::timeout;

/// The maximum size of a task definition, in bytes; the queue accepts no larger ones.
const MAX_TASK: usize = 10 * 1024 * 1024;

/// The timeout of fetching the task, including all retries. The launcher waits for the proxy to listen, so
/// a queue that takes longer is reported as an error.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The characters that are percent-encoded in a path segment: all but the unreserved ones (RFC 3986
/// section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why the scopes of a task could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("could not fetch taskcluster task '{task_id}' : {reason}")]
pub struct TaskError {
    task_id: String,
    #[source]
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the queue responded with {0}{1}")]
    Status(StatusCode, String),
    #[error(
        "the queue responded with {unsigned} without credentials, and with 403 Forbidden to the proxy's \
         credentials{message}; grant the scope \"queue:get-task:{task_id}\" either to the role \
         \"anonymous\" or to the client of these credentials, or leave out --task-id and name the \
         scopes on the command line"
    )]
    Forbidden { unsigned: StatusCode, message: String, task_id: String },
    #[error(
        "the queue responded with {unsigned} without credentials, and with {status} to the proxy's \
         credentials{message}: {why}; otherwise grant the scope \"queue:get-task:{task_id}\" to the role \
         \"anonymous\", or leave out --task-id and name the scopes on the command line"
    )]
    NotAuthenticated {
        unsigned: StatusCode,
        status: StatusCode,
        message: String,
        why: String,
        task_id: String,
    },
    #[error("no response from the queue within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the queue's response is not a task definition with an array of scopes")]
    NoTask,
    #[error(transparent)]
    Scope(#[from] InvalidScope),
}

/// The restriction to `scopes` and those of the task. With neither scopes nor a task id there is no
/// restriction; with a task that has no scopes, requests have no scopes at all.
///
/// The request to the queue is not signed, because in most deployments anyone may read tasks. If the queue
/// refuses it, it is repeated with a signature by `credentials`, if they can sign.
///
/// # Errors
///
/// The queue cannot be reached, does not know the task, refuses the request, or its response is not a task
/// definition.
pub async fn restriction(
    mut scopes: Vec<Scope>,
    task_id: Option<&str>,
    outbound: &Outbound,
    root_url: &RootUrl,
    credentials: Option<&Credentials>,
) -> Result<Restriction, TaskError> {
    let Restriction { origin, .. } = without_task(&scopes, task_id);
    if let Some(task_id) = task_id {
        scopes.extend(fetch_scopes(outbound, root_url, task_id, credentials).await?);
    }
    Ok(Restriction { origin, ..without_task(&scopes, task_id) })
}

/// The restriction to `scopes`, without those of the task.
pub fn without_task(scopes: &[Scope], task_id: Option<&str>) -> Restriction {
    let origin =
        RestrictionOrigin { command_line: !scopes.is_empty(), task_id: task_id.map(str::to_owned) };
    let restricted = task_id.is_some() || !scopes.is_empty();
    Restriction { scopes: restricted.then(|| scopes.to_vec()).into(), origin }
}

/// Fetches the scopes of a task from the queue, with retries.
async fn fetch_scopes(
    outbound: &Outbound,
    root_url: &RootUrl,
    task_id: &str,
    credentials: Option<&Credentials>,
) -> Result<Vec<Scope>, TaskError> {
    let fail = |reason| TaskError { task_id: printable(task_id), reason };
    tracing::debug!("fetching the scopes of task {task_id:?} from the queue");
    let fetched = timeout(TIMEOUT, fetch(outbound, root_url, task_id, credentials)).await;
    let scopes = fetched.unwrap_or(Err(Reason::Timeout)).map_err(fail)?;
    let scopes = scopes.into_iter().map(Scope::new).collect::<Result<_, _>>();
    scopes.map_err(|error| fail(error.into()))
}

async fn fetch(
    outbound: &Outbound,
    root_url: &RootUrl,
    task_id: &str,
    credentials: Option<&Credentials>,
) -> Result<Vec<String>, Reason> {
    let path = path(task_id);
    let mut response = call::get(outbound, root_url, &path, None, MAX_TASK).await?;
    let unsigned = response.status;
    let signer = |credentials| Some((credentials, Signer::new(credentials).ok()?));
    if is_refused(unsigned)
        && let Some((credentials, signer)) = credentials.and_then(signer)
    {
        tracing::debug!(
            "the queue responded with {unsigned} without credentials: sending a signed request"
        );
        response = call::get(outbound, root_url, &path, Some(&signer), MAX_TASK).await?;
        if is_refused(response.status) {
            return Err(refusal(unsigned, &response, credentials, task_id));
        }
    }
    match response.status {
        StatusCode::OK => scopes(&response.body).ok_or(Reason::NoTask),
        status => Err(Reason::Status(status, call::message(&response.body))),
    }
}

/// The error for a task that the queue does not show to the proxy's credentials either.
fn refusal(
    unsigned: StatusCode,
    response: &call::Response,
    credentials: &Credentials,
    task_id: &str,
) -> Reason {
    let (status, message) = (response.status, call::message(&response.body));
    let task_id_shown = printable(task_id);
    let profile = CredentialsProfile::new(credentials, &Restriction::default());
    let diagnosis = call::diagnose(response, &profile, &path(task_id));
    if status == StatusCode::FORBIDDEN && diagnosis.0 != [Finding::NoSignature] {
        return Reason::Forbidden { unsigned, message, task_id: task_id_shown };
    }
    let why = call::advice(&diagnosis);
    Reason::NotAuthenticated { unsigned, status, message, why, task_id: task_id_shown }
}

/// The path of a task's definition in the queue.
pub fn path(task_id: &str) -> String {
    format!("/api/queue/v1/task/{}", utf8_percent_encode(task_id, SEGMENT))
}

fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The scopes in a task definition; none if the member is missing. This does not use a derived struct,
/// which would also accept an array.
fn scopes(definition: &[u8]) -> Option<Vec<String>> {
    let mut definition: Map<String, Value> = serde_json::from_slice(definition).ok()?;
    match definition.remove("scopes") {
        None => Some(Vec::new()),
        Some(scopes) => serde_json::from_value(scopes).ok(),
    }
}
