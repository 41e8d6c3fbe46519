//! The queue service: tasks and task groups.

use super::body::Payload;
use super::caller::Caller;
use super::deployment::{Shared, now};
use super::failure::Failure;
use super::page::{Arguments, PageRequest};
use super::payload;
use super::random::is_slugid;
use super::records::Records;
use super::task::{Run, Task};
use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use taskcluster_proxy_core::credentials::ScopeExpression;

/// Methods that only read require no scopes, as in most deployments, where the anonymous role has them.
pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let task = deployment.method("task", &[], get(definition)).merge(deployment.method(
        "createTask",
        &[],
        put(create),
    ));
    let list = deployment.method("listTaskGroup", &[], get(list_group));
    Router::new()
        .route("/task/{taskId}", task)
        .route("/task/{taskId}/status", deployment.method("status", &[], get(status)))
        .route("/task-group/{taskGroupId}/list", list)
}

/// The run that a path names; the latest run of the task if it names none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunPath {
    pub(super) task_id: String,
    pub(super) run_id: Option<String>,
}

async fn definition(
    State(deployment): State<Shared>,
    Path(task_id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(deployment.records().task(&task_id)?.definition.clone().into()))
}

async fn status(
    State(deployment): State<Shared>,
    Path(task_id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "status": deployment.records().task(&task_id)?.status(&task_id) })))
}

async fn create(
    State(deployment): State<Shared>,
    Path(task_id): Path<String>,
    caller: Result<Caller, Failure>,
    Payload(payload): Payload,
) -> Result<Json<Value>, Failure> {
    if !is_slugid(&task_id) {
        return Err(Failure::Arguments(
            "`taskId`: expected a slugid (22 URL-safe base64 characters of a version 4 UUID)"
                .to_owned(),
        ));
    }
    let (now, mut records) = (now(), deployment.records());
    let mut task = Task::define(&task_id, &payload, records.tasks.len())?;
    caller?.require(required(&task)?)?;
    if task.deadline <= now {
        return Err(payload::wrong("deadline", "a time in the future"));
    }
    let status = match records.tasks.get(&task_id) {
        // Idempotent: a client that lost the response can repeat the request.
        Some(existing) if existing.definition == task.definition => existing.status(&task_id),
        Some(_) => {
            return Err(Failure::Conflict(format!(
                "task {task_id} exists already, with another definition"
            )));
        }
        None => {
            task.runs.push(Run::scheduled(now));
            let status = task.status(&task_id);
            records.tasks.insert(task_id, task);
            status
        }
    };
    Ok(Json(json!({ "status": status })))
}

/// The scopes that are required to create a task: the task's own scopes, those of its routes, project and
/// scheduler, and one that allows its priority or a higher one.
fn required(task: &Task) -> Result<ScopeExpression, Failure> {
    let scope = ScopeExpression::Scope;
    let member = |name| payload::string(&task.definition, name);
    let mut all: Vec<_> = task.scopes.iter().cloned().map(ScopeExpression::from).collect();
    for route in payload::strings(&task.definition, "routes")? {
        all.push(scope(format!("queue:route:{route}")));
    }
    all.push(scope(format!("queue:create-task:project:{}", member("projectId")?)));
    all.push(scope(format!("queue:scheduler-id:{}", member("schedulerId")?)));
    let queue = &task.task_queue_id;
    let priorities = task.sufficient_priorities();
    let any = priorities.map(|priority| scope(format!("queue:create-task:{priority}:{queue}")));
    all.push(ScopeExpression::AnyOf(any.collect()));
    Ok(ScopeExpression::AllOf(all))
}

async fn list_group(
    State(deployment): State<Shared>,
    Path(task_group_id): Path<String>,
    Arguments(request): Arguments<PageRequest>,
) -> Result<Json<Value>, Failure> {
    let records = deployment.records();
    let mut tasks: Vec<(&String, &Task)> =
        records.tasks.iter().filter(|(_, task)| task.task_group_id == task_group_id).collect();
    tasks.sort_unstable_by_key(|(_, task)| task.sequence);
    let Some((_, first)) = tasks.first() else {
        return Err(Failure::NotFound(format!("there is no task group {task_group_id}")));
    };
    let entries = tasks
        .iter()
        .map(|(id, task)| json!({ "status": task.status(id), "task": task.definition }));
    let mut list = request.page("tasks", entries)?;
    list.insert("taskGroupId".to_owned(), task_group_id.as_str().into());
    for member in ["schedulerId", "expires"] {
        list.insert(member.to_owned(), first.definition.get(member).cloned().into());
    }
    Ok(Json(list.into()))
}

impl Records {
    pub(super) fn task(&self, task_id: &str) -> Result<&Task, Failure> {
        self.tasks
            .get(task_id)
            .ok_or_else(|| Failure::NotFound(format!("there is no task {task_id}")))
    }

    pub(super) fn run_mut(&mut self, path: &RunPath) -> Result<&mut Run, Failure> {
        let RunPath { task_id, run_id } = path;
        self.task(task_id)?;
        self.tasks
            .get_mut(task_id)
            .and_then(|task| match run_id {
                Some(run_id) => task.runs.get_mut(run_id.parse::<usize>().ok()?),
                None => task.runs.last_mut(),
            })
            .ok_or_else(|| Failure::NotFound(format!("task {task_id} has no such run")))
    }
}
