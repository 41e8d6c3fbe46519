//! The data of the deployment, and its initial data.

use super::failure::Failure;
use super::index::IndexedTask;
use super::payload::Object;
use super::secrets::Secret;
use super::storage::Storage;
use super::task::{Artifact, ArtifactSource, Run, RunState, Task};
use axum::body::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;

/// The task that exists from the start, with one run and one artifact.
pub(super) const SAMPLE_TASK: &str = "KTBKfEgxR5GdfIIREQIvFQ";

/// The data of the deployment, which requests change.
pub(super) struct Records {
    pub(super) started: Timestamp,
    pub(super) tasks: BTreeMap<String, Task>,
    pub(super) storage: Storage,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) index: BTreeMap<String, IndexedTask>,
}

impl Records {
    /// The initial data of a deployment.
    pub(super) fn seeded(now: Timestamp) -> Result<Self, Failure> {
        let mut records = Self {
            started: now,
            tasks: BTreeMap::new(),
            storage: Storage::default(),
            secrets: BTreeMap::new(),
            index: BTreeMap::new(),
        };
        let task = sample_task(now, &mut records.storage)?;
        let expires = task.expires;
        records.tasks.insert(SAMPLE_TASK.to_owned(), task);
        let secret = json!({ "greeting": "hello from the sandbox" });
        records.secrets.insert("project/sandbox/greeting".to_owned(), Secret { secret, expires });
        Ok(records)
    }
}

fn sample_task(now: Timestamp, storage: &mut Storage) -> Result<Task, Failure> {
    let mut task = Task::define(SAMPLE_TASK, &sample_definition(now), 0)?;
    let mut run = Run::scheduled(now);
    run.state = RunState::Completed;
    run.started = Some(now);
    run.resolved = Some(now);
    let content_type = "text/plain; charset=utf-8";
    let object = storage.reserve(content_type)?;
    storage.fill(&object, Bytes::from_static(b"test artifact\n"), now);
    let artifact = Artifact {
        storage_type: "s3".to_owned(),
        content_type: content_type.to_owned(),
        expires: task.expires,
        source: ArtifactSource::Stored { object, direct: true },
    };
    run.artifacts.insert("SampleArtifacts/_/X.txt".to_owned(), artifact);
    task.runs.push(run);
    Ok(task)
}

fn sample_definition(now: Timestamp) -> Object {
    let after = |days: u64| now.plus(Duration::from_secs(days * 86_400)).to_rfc3339();
    let definition = json!({
        "provisionerId": "sandbox",
        "workerType": "sample",
        "created": after(0),
        "deadline": after(1),
        "expires": after(365),
        "scopes": ["queue:get-artifact:SampleArtifacts/*", "secrets:get:project/sandbox/*"],
        "payload": {},
        "metadata": {
            "name": "sample",
            "description": "A completed task with one artifact, to try the proxy with.",
            "owner": "sandbox@example.com",
            "source": "https://example.com/",
        },
    });
    match definition {
        Value::Object(definition) => definition,
        _ => Object::new(),
    }
}
