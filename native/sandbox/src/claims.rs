//! The queue service: what a worker calls to get a task and to be done with it.

use super::call::{Call, Caller};
use super::endpoint::{Endpoint, Handler};
use super::failure::{Code, Failure};
use super::payload::{self, Object};
use super::random::seed;
use super::response::{HandlerResult, json};
use super::state::State;
use super::task::{Claim, PRIORITIES, RunState, Task};
use serde_json::{Value, json};
use std::time::Duration;
use taskcluster_proxy_core::credentials::{ClientId, Scope, ScopeExpression, TemporaryCredentials};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "POST",
        path: "claim-work/<taskQueueId...>",
        name: "claimWork",
        scopes: &["queue:claim-work:<taskQueueId>"],
        handler: Handler::Json(claim_work),
    },
    Endpoint {
        method: "POST",
        path: "task/<taskId>/runs/<runId>/reclaim",
        name: "reclaimTask",
        scopes: &["queue:reclaim-task:<taskId>/<runId>"],
        handler: Handler::Plain(reclaim),
    },
    Endpoint {
        method: "POST",
        path: "task/<taskId>/runs/<runId>/completed",
        name: "reportCompleted",
        scopes: &["queue:resolve-task:<taskId>/<runId>"],
        handler: Handler::Plain(complete),
    },
];

fn claim_work(call: &Call<'_>, payload: &Object, state: &mut State) -> HandlerResult {
    let worker_group = payload::string(payload, "workerGroup")?;
    let worker_id = payload::string(payload, "workerId")?;
    let wanted = payload::optional(payload, "tasks", payload::integer)?.unwrap_or(1);
    if !(1..=MAX_CLAIMS).contains(&wanted) {
        return Err(payload::wrong("tasks", "a number from 1 to 32"));
    }
    let worker = format!("queue:worker-id:{worker_group}/{worker_id}");
    let worker = Scope::new(worker)
        .map_err(|error| payload::wrong("workerId", &format!("an identifier: {error}")))?;
    Caller::authenticate(call)?.require(&ScopeExpression::Scope(worker))?;

    let mut claims = Vec::new();
    for task_id in pending(state, call.param("taskQueueId")).into_iter().take(wanted) {
        let claim = Claim {
            worker_group: worker_group.to_owned(),
            worker_id: worker_id.to_owned(),
            taken_until: call.now.plus(CLAIM),
        };
        claims.extend(claim_task(call, state, &task_id, claim)?);
    }
    json(&json!({ "tasks": claims }))
}

/// The tasks of a queue that nobody works on, the most urgent first, then the oldest.
fn pending(state: &State, task_queue_id: &str) -> Vec<String> {
    let is_pending = |task: &Task| {
        task.task_queue_id == task_queue_id
            && task.runs.last().is_some_and(|run| run.state == RunState::Pending)
    };
    let mut tasks: Vec<(&String, &Task)> =
        state.tasks.iter().filter(|(_, task)| is_pending(task)).collect();
    tasks.sort_unstable_by_key(|(_, task)| {
        (PRIORITIES.iter().position(|known| *known == task.priority), task.sequence)
    });
    tasks.into_iter().map(|(id, _)| id.clone()).collect()
}

fn claim_task(
    call: &Call<'_>,
    state: &mut State,
    task_id: &str,
    claim: Claim,
) -> Result<Option<Value>, Failure> {
    let Some(task) = state.tasks.get_mut(task_id) else { return Ok(None) };
    let run_id = task.runs.len().saturating_sub(1);
    let credentials = task_credentials(call, task_id, run_id, task, &claim)?;
    let Some(run) = task.runs.last_mut() else { return Ok(None) };
    run.state = RunState::Running;
    run.started = Some(call.now);
    run.claim = Some(claim.clone());
    let mut response = claim_to_json(task_id, run_id, task, &claim, credentials);
    response.insert("task".to_owned(), task.definition.clone().into());
    Ok(Some(response.into()))
}

fn reclaim(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let task_id = call.param("taskId");
    let run = state.run_mut(call)?;
    let Some(claim) = run.claim.as_mut().filter(|_| run.state == RunState::Running) else {
        return Err(not_running(call));
    };
    claim.taken_until = call.now.plus(CLAIM);
    let claim = claim.clone();
    let task = state.task(task_id)?;
    let run_id = task.runs.len().saturating_sub(1);
    let credentials = task_credentials(call, task_id, run_id, task, &claim)?;
    json(&claim_to_json(task_id, run_id, task, &claim, credentials).into())
}

fn complete(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let run = state.run_mut(call)?;
    match run.state {
        RunState::Pending => return Err(not_running(call)),
        RunState::Running => {
            run.state = RunState::Completed;
            run.resolved = Some(call.now);
        }
        // A client that lost the response can ask again.
        RunState::Completed => {}
    }
    let task_id = call.param("taskId");
    json(&json!({ "status": state.task(task_id)?.status(task_id) }))
}

fn not_running(call: &Call<'_>) -> Failure {
    let (task_id, run_id) = (call.param("taskId"), call.param("runId"));
    Failure::new(Code::RequestConflict, format!("run {run_id} of task {task_id} is not running"))
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

/// What a worker gives to the proxy of a task: named temporary credentials that end with the claim.
fn task_credentials(
    call: &Call<'_>,
    task_id: &str,
    run_id: usize,
    task: &Task,
    claim: &Claim,
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
    let order = TemporaryCredentials {
        name: Some(name),
        scopes,
        start: call.now,
        expiry: *taken_until,
        seed: seed()?,
    };
    let credentials = order.issue(&call.deployment.credentials).map_err(Failure::internal)?;
    Ok(json!({
        "clientId": credentials.client_id,
        "accessToken": credentials.access_token.expose(),
        "certificate": credentials.certificate.map(|certificate| certificate.as_str().to_owned()),
    }))
}

/// For how long a worker has a task, and the task has credentials.
const CLAIM: Duration = Duration::from_secs(20 * 60);

/// How many tasks a worker can claim at once.
const MAX_CLAIMS: usize = 32;
