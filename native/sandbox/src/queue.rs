//! The queue service: tasks and task groups.

use super::call::{Call, Caller};
use super::endpoint::{Endpoint, Handler};
use super::failure::{Code, Failure};
use super::page::page;
use super::payload::{self, Object};
use super::random::is_slugid;
use super::response::{HandlerResult, json};
use super::state::State;
use super::task::{Run, Task};
use serde_json::{Value, json};
use taskcluster_proxy_core::credentials::{Scope, ScopeExpression};

/// What only reads is open to all, as the anonymous role makes it in most deployments.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "task/<taskId>",
        name: "task",
        scopes: &[],
        handler: Handler::Plain(definition),
    },
    Endpoint {
        method: "PUT",
        path: "task/<taskId>",
        name: "createTask",
        scopes: &[],
        handler: Handler::Json(create),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/status",
        name: "status",
        scopes: &[],
        handler: Handler::Plain(status),
    },
    Endpoint {
        method: "GET",
        path: "task-group/<taskGroupId>/list",
        name: "listTaskGroup",
        scopes: &[],
        handler: Handler::Plain(list_group),
    },
];

fn definition(call: &Call<'_>, state: &mut State) -> HandlerResult {
    json(&Value::Object(state.task(call.param("taskId"))?.definition.clone()))
}

fn status(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let task_id = call.param("taskId");
    json(&json!({ "status": state.task(task_id)?.status(task_id) }))
}

fn create(call: &Call<'_>, payload: &Object, state: &mut State) -> HandlerResult {
    let task_id = call.param("taskId");
    if !is_slugid(task_id) {
        return Err(Failure::new(
            Code::InvalidRequestArguments,
            "`taskId`: expected a slugid (22 URL-safe base64 characters of a version 4 UUID)",
        ));
    }
    let mut task = Task::define(task_id, payload, state.tasks.len())?;
    Caller::authenticate(call)?.require(&required(&task)?)?;
    if task.deadline <= call.now {
        return Err(payload::wrong("deadline", "a moment in the future"));
    }
    let status = match state.tasks.get(task_id) {
        // Creation is idempotent: a client that lost the response can ask again.
        Some(existing) if existing.definition == task.definition => existing.status(task_id),
        Some(_) => {
            return Err(Failure::new(
                Code::RequestConflict,
                format!("task {task_id} exists already, with another definition"),
            ));
        }
        None => {
            task.runs.push(Run::scheduled(call.now));
            let status = task.status(task_id);
            state.tasks.insert(task_id.to_owned(), task);
            status
        }
    };
    json(&json!({ "status": status }))
}

/// The task's own scopes, those of its routes, project and scheduler, and one that allows the priority: a
/// more urgent one will do.
fn required(task: &Task) -> Result<ScopeExpression, Failure> {
    let scope = |text: String| match Scope::new(text) {
        Ok(scope) => Ok(ScopeExpression::Scope(scope)),
        Err(error) => {
            let reason = format!("the task cannot be created: {error}");
            Err(Failure::new(Code::InputError, reason))
        }
    };
    let member = |name| payload::string(&task.definition, name);
    let mut all: Vec<_> = task.scopes.iter().cloned().map(ScopeExpression::Scope).collect();
    for route in payload::strings(&task.definition, "routes")? {
        all.push(scope(format!("queue:route:{route}"))?);
    }
    all.push(scope(format!("queue:create-task:project:{}", member("projectId")?))?);
    all.push(scope(format!("queue:scheduler-id:{}", member("schedulerId")?))?);
    let queue = &task.task_queue_id;
    let priorities = task.sufficient_priorities();
    let any = priorities.map(|priority| scope(format!("queue:create-task:{priority}:{queue}")));
    all.push(ScopeExpression::AnyOf(any.collect::<Result<_, _>>()?));
    Ok(ScopeExpression::AllOf(all))
}

fn list_group(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let task_group_id = call.param("taskGroupId");
    let mut tasks: Vec<(&String, &Task)> =
        state.tasks.iter().filter(|(_, task)| task.task_group_id == task_group_id).collect();
    tasks.sort_unstable_by_key(|(_, task)| task.sequence);
    let Some((_, first)) = tasks.first() else {
        return Err(Failure::not_found(format!("there is no task group {task_group_id}")));
    };
    let entries = tasks
        .iter()
        .map(|(id, task)| json!({ "status": task.status(id), "task": task.definition }));
    let mut list = page(call, "tasks", entries)?;
    list.insert("taskGroupId".to_owned(), task_group_id.into());
    for member in ["schedulerId", "expires"] {
        list.insert(member.to_owned(), first.definition.get(member).cloned().into());
    }
    json(&list.into())
}

impl State {
    pub(super) fn task(&self, task_id: &str) -> Result<&Task, Failure> {
        self.tasks
            .get(task_id)
            .ok_or_else(|| Failure::not_found(format!("there is no task {task_id}")))
    }

    /// The run that a path names; the latest where it names none.
    pub(super) fn run_mut(&mut self, call: &Call<'_>) -> Result<&mut Run, Failure> {
        let (task_id, run_id) = (call.param("taskId"), call.params.find("runId"));
        self.task(task_id)?;
        self.tasks
            .get_mut(task_id)
            .and_then(|task| match run_id {
                Some(run_id) => task.runs.get_mut(run_id.parse::<usize>().ok()?),
                None => task.runs.last_mut(),
            })
            .ok_or_else(|| Failure::not_found(format!("task {task_id} has no such run")))
    }
}
