//! A task: its definition, its runs, their artifacts.

use super::failure::Failure;
use super::payload::{self, Object};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Scope;

pub(super) struct Task {
    /// The definition in the request, with defaults for missing members.
    pub(super) definition: Object,
    /// `<provisionerId>/<workerType>`.
    pub(super) task_queue_id: String,
    pub(super) task_group_id: String,
    pub(super) priority: &'static str,
    pub(super) scopes: Vec<Scope>,
    pub(super) deadline: Timestamp,
    pub(super) expires: Timestamp,
    /// The number of tasks that were created before this one.
    pub(super) sequence: usize,
    pub(super) runs: Vec<Run>,
}

pub(super) struct Run {
    pub(super) state: RunState,
    pub(super) scheduled: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) resolved: Option<Timestamp>,
    /// `None` until the run is claimed.
    pub(super) claim: Option<Claim>,
    pub(super) artifacts: BTreeMap<String, Artifact>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RunState {
    Pending,
    Running,
    Completed,
}

#[derive(Clone)]
pub(super) struct Claim {
    pub(super) worker_group: String,
    pub(super) worker_id: String,
    pub(super) taken_until: Timestamp,
}

#[derive(Clone)]
pub(super) struct Artifact {
    pub(super) storage_type: String,
    pub(super) content_type: String,
    pub(super) expires: Timestamp,
    pub(super) source: ArtifactSource,
}

/// The location of an artifact's content.
#[derive(Clone)]
pub(super) enum ArtifactSource {
    /// An object of the sandbox's storage. The queue redirects to it, or responds with the content itself
    /// if `direct` is set.
    Stored { object: String, direct: bool },
    /// Another URL, to which the queue redirects.
    Elsewhere(String),
}

impl Task {
    /// Creates a task without runs from a definition.
    pub(super) fn define(task_id: &str, given: &Object, sequence: usize) -> Result<Self, Failure> {
        let task_queue_id = task_queue_id(given)?;
        payload::datetime(given, "created")?;
        let deadline = payload::datetime(given, "deadline")?;
        payload::object(given, "payload")?;
        let metadata = payload::object(given, "metadata")?;
        for member in ["name", "description", "owner", "source"] {
            payload::string(metadata, member)?;
        }
        let definition = with_defaults(given, task_id, &task_queue_id, deadline);
        payload::integer::<u8>(&definition, "retries")?;
        Ok(Self {
            task_group_id: payload::string(&definition, "taskGroupId")?.to_owned(),
            priority: priority(&definition)?,
            scopes: payload::scopes(&definition, "scopes")?,
            expires: payload::datetime(&definition, "expires")?,
            task_queue_id,
            deadline,
            definition,
            sequence,
            runs: Vec::new(),
        })
    }

    /// The task's priority and all higher ones.
    pub(super) fn sufficient_priorities(&self) -> impl Iterator<Item = &'static str> {
        let mut found = false;
        PRIORITIES
            .iter()
            .copied()
            .filter(|priority| *priority != "normal")
            .take_while(move |priority| !std::mem::replace(&mut found, *priority == self.priority))
    }

    pub(super) fn status(&self, task_id: &str) -> Value {
        let member = |name| self.definition.get(name);
        json!({
            "taskId": task_id,
            "provisionerId": member("provisionerId"),
            "workerType": member("workerType"),
            "taskQueueId": self.task_queue_id,
            "schedulerId": member("schedulerId"),
            "projectId": member("projectId"),
            "taskGroupId": self.task_group_id,
            "deadline": member("deadline"),
            "expires": member("expires"),
            "retriesLeft": member("retries"),
            "state": self.runs.last().map_or(json!("unscheduled"), |run| json!(run.state)),
            "runs": self.runs.iter().enumerate().map(|(id, run)| run.to_json(id)).collect::<Vec<_>>(),
        })
    }
}

impl Run {
    pub(super) fn scheduled(now: Timestamp) -> Self {
        Self {
            state: RunState::Pending,
            scheduled: now,
            started: None,
            resolved: None,
            claim: None,
            artifacts: BTreeMap::new(),
        }
    }

    fn to_json(&self, run_id: usize) -> Value {
        let mut run = Object::new();
        run.insert("runId".to_owned(), run_id.into());
        run.insert("state".to_owned(), json!(self.state));
        run.insert("reasonCreated".to_owned(), "scheduled".into());
        run.insert("scheduled".to_owned(), self.scheduled.to_rfc3339().into());
        if let Some(claim) = &self.claim {
            run.insert("workerGroup".to_owned(), claim.worker_group.as_str().into());
            run.insert("workerId".to_owned(), claim.worker_id.as_str().into());
            run.insert("takenUntil".to_owned(), claim.taken_until.to_rfc3339().into());
        }
        if let Some(started) = self.started {
            run.insert("started".to_owned(), started.to_rfc3339().into());
        }
        if let Some(resolved) = self.resolved {
            run.insert("reasonResolved".to_owned(), json!(self.state));
            run.insert("resolved".to_owned(), resolved.to_rfc3339().into());
        }
        run.into()
    }
}

/// The task queue id, which a definition gives as a whole or as provisionerId and workerType.
fn task_queue_id(given: &Object) -> Result<String, Failure> {
    if given.contains_key("taskQueueId") {
        let whole = payload::string(given, "taskQueueId")?;
        return match whole.split_once('/') {
            Some((provisioner, worker)) if !provisioner.is_empty() && is_identifier(worker) => {
                Ok(whole.to_owned())
            }
            _ => Err(payload::wrong("taskQueueId", "<provisionerId>/<workerType>")),
        };
    }
    let half = |member| match payload::string(given, member)? {
        half if is_identifier(half) => Ok(half),
        _ => Err(payload::wrong(member, "one or more characters other than a slash")),
    };
    Ok(format!("{}/{}", half("provisionerId")?, half("workerType")?))
}

fn priority(definition: &Object) -> Result<&'static str, Failure> {
    let given = payload::string(definition, "priority")?;
    let known = PRIORITIES.iter().find(|known| **known == given);
    known.copied().ok_or_else(|| payload::wrong("priority", &PRIORITIES.join(", or ")))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

fn with_defaults(
    given: &Object,
    task_id: &str,
    task_queue_id: &str,
    deadline: Timestamp,
) -> Object {
    let (provisioner_id, worker_type) = task_queue_id.split_once('/').unwrap_or_default();
    let mut definition = given.clone();
    for (member, default) in [
        ("provisionerId", json!(provisioner_id)),
        ("workerType", json!(worker_type)),
        ("taskQueueId", json!(task_queue_id)),
        ("schedulerId", json!("-")),
        ("projectId", json!("none")),
        ("taskGroupId", json!(task_id)),
        ("dependencies", json!([])),
        ("requires", json!("all-completed")),
        ("routes", json!([])),
        ("priority", json!("lowest")),
        ("retries", json!(5)),
        ("expires", json!(deadline.plus(YEAR).to_rfc3339())),
        ("scopes", json!([])),
        ("tags", json!({})),
        ("extra", json!({})),
    ] {
        definition.entry(member).or_insert(default);
    }
    definition
}

/// The priorities, highest first.
pub(super) const PRIORITIES: &[&str] =
    &["highest", "very-high", "high", "medium", "low", "very-low", "lowest", "normal"];

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
