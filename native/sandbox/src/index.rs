//! The index service: tasks by name.

use super::call::Call;
use super::endpoint::{Endpoint, Handler};
use super::failure::Failure;
use super::payload::{self, Object};
use super::response::{HandlerResult, json};
use super::state::State;
use serde_json::{Value, json};
use taskcluster_proxy_core::Timestamp;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "task/<namespace>",
        name: "findTask",
        scopes: &[],
        handler: Handler::Plain(find),
    },
    Endpoint {
        method: "PUT",
        path: "task/<namespace>",
        name: "insertTask",
        scopes: &["index:insert-task:<namespace>"],
        handler: Handler::Json(insert),
    },
];

/// An entry of the index.
pub(super) struct Indexed {
    task_id: String,
    rank: Value,
    data: Object,
    expires: Timestamp,
}

fn find(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let namespace = call.param("namespace");
    match state.index.get(namespace).filter(|indexed| indexed.expires > call.now) {
        Some(indexed) => json(&indexed.to_json(namespace)),
        None => Err(Failure::not_found(format!("there is no task indexed as {namespace}"))),
    }
}

fn insert(call: &Call<'_>, payload: &Object, state: &mut State) -> HandlerResult {
    let namespace = call.param("namespace");
    let new = Indexed {
        task_id: payload::string(payload, "taskId")?.to_owned(),
        rank: payload::number(payload, "rank")?.clone(),
        data: payload::object(payload, "data")?.clone(),
        expires: payload::datetime(payload, "expires")?,
    };
    let existing = state.index.get(namespace).filter(|existing| existing.expires > call.now);
    // The highest rank wins, of equal ones the last.
    if let Some(existing) = existing
        && existing.rank.as_f64() > new.rank.as_f64()
    {
        return json(&existing.to_json(namespace));
    }
    let response = new.to_json(namespace);
    state.index.insert(namespace.to_owned(), new);
    json(&response)
}

impl Indexed {
    fn to_json(&self, namespace: &str) -> Value {
        json!({
            "namespace": namespace,
            "taskId": self.task_id,
            "rank": self.rank,
            "data": self.data,
            "expires": self.expires.to_rfc3339(),
        })
    }
}
