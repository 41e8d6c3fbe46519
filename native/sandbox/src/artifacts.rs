//! The queue service: artifacts.

use super::body::Payload;
use super::caller::Caller;
use super::content;
use super::deployment::{Deployment, Shared, now};
use super::failure::Failure;
use super::page::{Arguments, PageRequest};
use super::payload;
use super::queue::RunPath;
use super::task::{Artifact, ArtifactSource, RunState};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use taskcluster_proxy_core::credentials::ScopeExpression;
use taskcluster_proxy_core::hawk::parse_url;

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let create_scope = &["queue:create-artifact:{taskId}/{runId}"];
    let of_run = deployment
        .method("createArtifact", create_scope, post(create))
        .merge(deployment.method("getArtifact", &[], get(artifact)));
    let of_task = deployment.method("getLatestArtifact", &[], get(artifact));
    Router::new()
        .route(
            "/task/{taskId}/runs/{runId}/artifacts",
            deployment.method("listArtifacts", &[], get(list)),
        )
        .route("/task/{taskId}/artifacts", deployment.method("listLatestArtifacts", &[], get(list)))
        .route("/task/{taskId}/runs/{runId}/artifacts/{*name}", of_run)
        .route("/task/{taskId}/artifacts/{*name}", of_task)
        .route(
            "/task/{taskId}/runs/{runId}/artifact-content/{*name}",
            deployment.method("artifact", &[], get(location)),
        )
        .route(
            "/task/{taskId}/artifact-content/{*name}",
            deployment.method("latestArtifact", &[], get(location)),
        )
}

/// The artifact that a path names.
#[derive(Deserialize)]
struct ArtifactPath {
    #[serde(flatten)]
    run: RunPath,
    name: String,
}

async fn list(
    State(deployment): State<Shared>,
    Path(run): Path<RunPath>,
    Arguments(request): Arguments<PageRequest>,
) -> Result<Json<Value>, Failure> {
    let mut records = deployment.records();
    let artifacts = records.run_mut(&run)?.artifacts.iter().map(|(name, artifact)| {
        json!({
            "storageType": artifact.storage_type,
            "name": name,
            "expires": artifact.expires.to_rfc3339(),
            "contentType": artifact.content_type,
        })
    });
    Ok(Json(request.page("artifacts", artifacts)?.into()))
}

async fn create(
    State(deployment): State<Shared>,
    Path(ArtifactPath { run: path, name }): Path<ArtifactPath>,
    Payload(payload): Payload,
) -> Result<Json<Value>, Failure> {
    let storage_type = payload::string(&payload, "storageType")?;
    let content_type = payload::string(&payload, "contentType")?;
    if HeaderValue::from_str(content_type).is_err() {
        return Err(payload::wrong("contentType", "a media type such as text/plain"));
    }
    let expires = payload::datetime(&payload, "expires")?;
    let (now, mut records) = (now(), deployment.records());
    if expires > records.task(&path.task_id)?.expires {
        return Err(payload::wrong("expires", "a time no later than that of the task"));
    }
    let run = records.run_mut(&path)?;
    if run.state != RunState::Running {
        return Err(Failure::Conflict(
            "artifacts can be created for running runs only: claim the task first".to_owned(),
        ));
    }
    let existing = run.artifacts.get(&name);
    if let Some(existing) = existing
        && (existing.storage_type != storage_type || existing.content_type != content_type)
    {
        return Err(Failure::Conflict(format!(
            "artifact {name} exists already, of another storageType or contentType"
        )));
    }
    let existing = existing.map(|artifact| artifact.source.clone());

    let (source, response) = match storage_type {
        "s3" => {
            let object = match existing {
                // Another request for the same artifact gets another URL for the same object.
                Some(ArtifactSource::Stored { object, .. }) => object,
                _ => records.storage.reserve(content_type)?,
            };
            let until = now.plus(UPLOAD);
            let token = records.storage.grant_upload(&object, until)?;
            let response = json!({
                "storageType": storage_type,
                "putUrl": format!("{}/storage/uploads/{token}", deployment.root_url),
                "expires": until.to_rfc3339(),
                "contentType": content_type,
            });
            (ArtifactSource::Stored { object, direct: false }, response)
        }
        "reference" | "redirect" => {
            let url = parse_url(payload::string(&payload, "url")?)
                .map_err(|error| Failure::Input(format!("`url`: {error}")))?;
            (ArtifactSource::Elsewhere(url.to_string()), json!({ "storageType": storage_type }))
        }
        _ => return Err(payload::wrong("storageType", "s3, reference or redirect")),
    };
    let artifact = Artifact {
        storage_type: storage_type.to_owned(),
        content_type: content_type.to_owned(),
        expires,
        source,
    };
    records.run_mut(&path)?.artifacts.insert(name, artifact);
    Ok(Json(response))
}

async fn artifact(
    State(deployment): State<Shared>,
    Authorized(artifact): Authorized,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if let ArtifactSource::Stored { object, direct: true } = &artifact.source {
        return Ok(content::response(deployment.records().storage.content(object)?, &headers));
    }
    let (url, location) = locate(&deployment, &artifact);
    let headers = [(LOCATION, url), (STORAGE_TYPE, artifact.storage_type)];
    Ok((StatusCode::SEE_OTHER, headers, Json(location)).into_response())
}

/// Responds with the URL of the content, for clients that do not follow redirects.
async fn location(
    State(deployment): State<Shared>,
    Authorized(artifact): Authorized,
) -> Json<Value> {
    Json(locate(&deployment, &artifact).1)
}

/// The artifact that a path names, if the caller has the scope to get it.
struct Authorized(Artifact);

impl FromRequestParts<Shared> for Authorized {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, deployment: &Shared) -> Result<Self, Failure> {
        let path = Path::from_request_parts(parts, deployment).await;
        let Path(ArtifactPath { run, name }) = path.map_err(Failure::internal)?;
        if !name.starts_with("public/") {
            let caller = Caller::from_request_parts(parts, deployment).await?;
            caller.require(ScopeExpression::Scope(format!("queue:get-artifact:{name}")))?;
        }
        let mut records = deployment.records();
        let artifact = records.run_mut(&run)?.artifacts.get(&name);
        let artifact = artifact.filter(|artifact| artifact.expires > now()).cloned();
        let missing = || Failure::NotFound(format!("the run has no artifact {name}"));
        artifact.map(Self).ok_or_else(missing)
    }
}

fn locate(deployment: &Deployment, artifact: &Artifact) -> (String, Value) {
    let url = match &artifact.source {
        ArtifactSource::Stored { object, .. } => {
            format!("{}/storage/objects/{object}", deployment.root_url)
        }
        ArtifactSource::Elsewhere(url) => url.clone(),
    };
    let location = json!({ "storageType": artifact.storage_type, "url": url });
    (url, location)
}

const STORAGE_TYPE: HeaderName = HeaderName::from_static("x-taskcluster-artifact-storage-type");

/// How long a putUrl is valid.
const UPLOAD: Duration = Duration::from_secs(45 * 60);
