//! The queue service: the API methods with which a worker claims and resolves tasks.

use super::body::Payload;
use super::caller::Caller;
use super::deployment::{Deployment, Shared, now};
use super::failure::Failure;
use super::payload::{self, Object};
use super::queue::RunPath;
use super::random::seed;
use super::records::Records;
use super::task::{Claim, PRIORITIES, RunState, Task};
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{ClientId, Scope, TemporaryCredentials};

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let claim = &["queue:claim-work:{taskQueueId}"];
    let reclaim_scope = &["queue:reclaim-task:{taskId}/{runId}"];
    let resolve = &["queue:resolve-task:{taskId}/{runId}"];
    Router::new()
        .route(
            "/claim-work/{*taskQueueId}",
            deployment.method("claimWork", claim, post(claim_work)),
        )
        .route(
            "/task/{taskId}/runs/{runId}/reclaim",
            deployment.method("reclaimTask", reclaim_scope, post(reclaim)),
        )
        .route(
            "/task/{taskId}/runs/{runId}/completed",
            deployment.method("reportCompleted", resolve, post(complete)),
        )
}

async fn claim_work(
    State(deployment): State<Shared>,
    Path(task_queue_id): Path<String>,
    caller: Result<Caller, Failure>,
    Payload(payload): Payload,
) -> Result<Json<Value>, Failure> {
    let worker_group = payload::string(&payload, "workerGroup")?;
    let worker_id = payload::string(&payload, "workerId")?;
    let wanted = payload::optional(&payload, "tasks", payload::integer)?.unwrap_or(1);
    if !(1..=MAX_CLAIMS).contains(&wanted) {
        return Err(payload::wrong("tasks", "a number from 1 to 32"));
    }
    let worker = format!("queue:worker-id:{worker_group}/{worker_id}");
    let worker = Scope::new(worker)
        .map_err(|error| payload::wrong("workerId", &format!("an identifier: {error}")))?;
    caller?.require(worker.into())?;

    let (now, mut records) = (now(), deployment.records());
    let mut claims = Vec::new();
    for task_id in pending(&records, &task_queue_id).into_iter().take(wanted) {
        let claim = Claim {
            worker_group: worker_group.to_owned(),
            worker_id: worker_id.to_owned(),
            taken_until: now.plus(CLAIM),
        };
        claims.extend(claim_task(&deployment, &mut records, &task_id, claim, now)?);
    }
    Ok(Json(json!({ "tasks": claims })))
}

/// The pending tasks of a queue, sorted by priority and age.
fn pending(records: &Records, task_queue_id: &str) -> Vec<String> {
    let is_pending = |task: &Task| {
        task.task_queue_id == task_queue_id
            && task.runs.last().is_some_and(|run| run.state == RunState::Pending)
    };
    let mut tasks: Vec<(&String, &Task)> =
        records.tasks.iter().filter(|(_, task)| is_pending(task)).collect();
    tasks.sort_unstable_by_key(|(_, task)| {
        (PRIORITIES.iter().position(|known| *known == task.priority), task.sequence)
    });
    tasks.into_iter().map(|(id, _)| id.clone()).collect()
}

fn claim_task(
    deployment: &Deployment,
    records: &mut Records,
    task_id: &str,
    claim: Claim,
    now: Timestamp,
) -> Result<Option<Value>, Failure> {
    let Some(task) = records.tasks.get_mut(task_id) else { return Ok(None) };
    let run_id = task.runs.len().saturating_sub(1);
    let credentials = task_credentials(deployment, task_id, run_id, task, &claim, now)?;
    let Some(run) = task.runs.last_mut() else { return Ok(None) };
    run.state = RunState::Running;
    run.started = Some(now);
    run.claim = Some(claim.clone());
    let mut response = claim_to_json(task_id, run_id, task, &claim, credentials);
    response.insert("task".to_owned(), task.definition.clone().into());
    Ok(Some(response.into()))
}

async fn reclaim(
    State(deployment): State<Shared>,
    Path(path): Path<RunPath>,
) -> Result<Json<Value>, Failure> {
    let (now, mut records) = (now(), deployment.records());
    let run = records.run_mut(&path)?;
    let Some(claim) = run.claim.as_mut().filter(|_| run.state == RunState::Running) else {
        return Err(not_running(&path));
    };
    claim.taken_until = now.plus(CLAIM);
    let claim = claim.clone();
    let task_id = &path.task_id;
    let task = records.task(task_id)?;
    let run_id = task.runs.len().saturating_sub(1);
    let credentials = task_credentials(&deployment, task_id, run_id, task, &claim, now)?;
    Ok(Json(claim_to_json(task_id, run_id, task, &claim, credentials).into()))
}

async fn complete(
    State(deployment): State<Shared>,
    Path(path): Path<RunPath>,
) -> Result<Json<Value>, Failure> {
    let mut records = deployment.records();
    let run = records.run_mut(&path)?;
    match run.state {
        RunState::Pending => return Err(not_running(&path)),
        RunState::Running => {
            run.state = RunState::Completed;
            run.resolved = Some(now());
        }
        // Idempotent: a client that lost the response can repeat the request.
        RunState::Completed => {}
    }
    let task_id = &path.task_id;
    Ok(Json(json!({ "status": records.task(task_id)?.status(task_id) })))
}

fn not_running(RunPath { task_id, run_id }: &RunPath) -> Failure {
    let run_id = run_id.as_deref().unwrap_or_default();
    Failure::Conflict(format!("run {run_id} of task {task_id} is not running"))
}

fn claim_to_json(
    task_id: &str,
    run_id: usize,
    task: &Task,
    claim: &Claim,
    credentials: Value,
) -> Object {
    [
        ("status", task.status(task_id)),
        ("runId", run_id.into()),
        ("workerGroup", claim.worker_group.as_str().into()),
        ("workerId", claim.worker_id.as_str().into()),
        ("takenUntil", claim.taken_until.to_rfc3339().into()),
        ("credentials", credentials),
    ]
    .into_iter()
    .map(|(member, value)| (member.to_owned(), value))
    .collect()
}

/// The credentials that a worker passes to the proxy of a task: named temporary credentials that expire with
/// the claim.
fn task_credentials(
    deployment: &Deployment,
    task_id: &str,
    run_id: usize,
    task: &Task,
    claim: &Claim,
    now: Timestamp,
) -> Result<Value, Failure> {
    let Claim { worker_group, worker_id, taken_until } = claim;
    let name = format!(
        "task-client/{task_id}/{run_id}/on/{worker_group}/{worker_id}/until/{}",
        taken_until.secs()
    );
    let name = ClientId::new(name)
        .map_err(|error| payload::wrong("workerId", &format!("an identifier: {error}")))?;
    let run = ["reclaim-task", "resolve-task", "create-artifact"]
        .map(|action| Scope::new(format!("queue:{action}:{task_id}/{run_id}")));
    let mut scopes = run.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::internal)?;
    scopes.extend_from_slice(&task.scopes);
    let parameters = TemporaryCredentials {
        name: Some(name),
        scopes,
        start: now,
        expiry: *taken_until,
        seed: seed()?,
    };
    let credentials = parameters.issue(&deployment.credentials).map_err(Failure::internal)?;
    Ok(json!({
        "clientId": credentials.client_id,
        "accessToken": credentials.access_token.expose(),
        "certificate": credentials.certificate.map(|certificate| certificate.as_str().to_owned()),
    }))
}

/// The duration of a claim, and the lifetime of the task's credentials.
const CLAIM: Duration = Duration::from_secs(20 * 60);

/// The maximum number of tasks that a worker can claim with one request.
const MAX_CLAIMS: usize = 32;
