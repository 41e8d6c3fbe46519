//! The index service: tasks by name.

use super::body::Payload;
use super::deployment::{Shared, now};
use super::failure::Failure;
use super::payload::{self, Object};
use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use taskcluster_proxy_core::Timestamp;

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let task = deployment.method("findTask", &[], get(find)).merge(deployment.method(
        "insertTask",
        &["index:insert-task:{namespace}"],
        put(insert),
    ));
    Router::new().route("/task/{namespace}", task)
}

/// A task in the index.
pub(super) struct IndexedTask {
    task_id: String,
    rank: Value,
    data: Object,
    expires: Timestamp,
}

async fn find(
    State(deployment): State<Shared>,
    Path(namespace): Path<String>,
) -> Result<Json<Value>, Failure> {
    let records = deployment.records();
    match records.index.get(&namespace).filter(|indexed| indexed.expires > now()) {
        Some(indexed) => Ok(Json(indexed.to_json(&namespace))),
        None => Err(Failure::NotFound(format!("there is no task indexed as {namespace}"))),
    }
}

async fn insert(
    State(deployment): State<Shared>,
    Path(namespace): Path<String>,
    Payload(payload): Payload,
) -> Result<Json<Value>, Failure> {
    let new = IndexedTask {
        task_id: payload::string(&payload, "taskId")?.to_owned(),
        rank: payload::number(&payload, "rank")?.clone(),
        data: payload::object(&payload, "data")?.clone(),
        expires: payload::datetime(&payload, "expires")?,
    };
    let mut records = deployment.records();
    let existing = records.index.get(&namespace).filter(|existing| existing.expires > now());
    // The task with the highest rank is kept; of tasks with equal ranks the latest.
    if let Some(existing) = existing
        && existing.rank.as_f64() > new.rank.as_f64()
    {
        return Ok(Json(existing.to_json(&namespace)));
    }
    let response = new.to_json(&namespace);
    records.index.insert(namespace, new);
    Ok(Json(response))
}

impl IndexedTask {
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
