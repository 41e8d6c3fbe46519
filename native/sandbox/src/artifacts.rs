//! The queue service: artifacts.

use super::call::{Call, Caller};
use super::content;
use super::endpoint::{Endpoint, Handler};
use super::failure::{Code, Failure};
use super::page::page;
use super::payload::{self, Object};
use super::response::{HandlerResult, json, json_with_status, set};
use super::state::State;
use super::task::{Artifact, ArtifactSource, RunState};
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use taskcluster_proxy_core::hawk::parse_url;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "task/<taskId>/runs/<runId>/artifacts",
        name: "listArtifacts",
        scopes: &[],
        handler: Handler::Plain(list),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/artifacts",
        name: "listLatestArtifacts",
        scopes: &[],
        handler: Handler::Plain(list),
    },
    Endpoint {
        method: "POST",
        path: "task/<taskId>/runs/<runId>/artifacts/<name...>",
        name: "createArtifact",
        scopes: &["queue:create-artifact:<taskId>/<runId>"],
        handler: Handler::Json(create),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/runs/<runId>/artifacts/<name...>",
        name: "getArtifact",
        scopes: &[],
        handler: Handler::Plain(get),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/artifacts/<name...>",
        name: "getLatestArtifact",
        scopes: &[],
        handler: Handler::Plain(get),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/runs/<runId>/artifact-content/<name...>",
        name: "artifact",
        scopes: &[],
        handler: Handler::Plain(get_location),
    },
    Endpoint {
        method: "GET",
        path: "task/<taskId>/artifact-content/<name...>",
        name: "latestArtifact",
        scopes: &[],
        handler: Handler::Plain(get_location),
    },
];

fn list(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let artifacts = state.run_mut(call)?.artifacts.iter().map(|(name, artifact)| {
        json!({
            "storageType": artifact.storage_type,
            "name": name,
            "expires": artifact.expires.to_rfc3339(),
            "contentType": artifact.content_type,
        })
    });
    json(&page(call, "artifacts", artifacts)?.into())
}

fn create(call: &Call<'_>, payload: &Object, state: &mut State) -> HandlerResult {
    let name = call.param("name");
    let storage_type = payload::string(payload, "storageType")?;
    let content_type = payload::string(payload, "contentType")?;
    if HeaderValue::from_str(content_type).is_err() {
        return Err(payload::wrong("contentType", "a media type such as text/plain"));
    }
    let expires = payload::datetime(payload, "expires")?;
    if expires > state.task(call.param("taskId"))?.expires {
        return Err(payload::wrong("expires", "a moment no later than that of the task"));
    }
    let run = state.run_mut(call)?;
    if run.state != RunState::Running {
        return Err(Failure::new(
            Code::RequestConflict,
            "artifacts can be created for running runs only: claim the task first",
        ));
    }
    let existing = run.artifacts.get(name);
    if let Some(existing) = existing
        && (existing.storage_type != storage_type || existing.content_type != content_type)
    {
        return Err(Failure::new(
            Code::RequestConflict,
            format!("artifact {name} exists already, of another storageType or contentType"),
        ));
    }
    let existing = existing.map(|artifact| artifact.source.clone());

    let (source, response) = match storage_type {
        "s3" => {
            let object = match existing {
                // Who asks again gets another URL for the same object.
                Some(ArtifactSource::Stored { object, .. }) => object,
                _ => state.storage.reserve(content_type)?,
            };
            let until = call.now.plus(UPLOAD);
            let token = state.storage.grant_upload(&object, until)?;
            let response = json!({
                "storageType": storage_type,
                "putUrl": format!("{}/storage/uploads/{token}", call.deployment.root_url),
                "expires": until.to_rfc3339(),
                "contentType": content_type,
            });
            (ArtifactSource::Stored { object, direct: false }, response)
        }
        "reference" | "redirect" => {
            let url = parse_url(payload::string(payload, "url")?)
                .map_err(|error| Failure::new(Code::InputError, format!("`url`: {error}")))?;
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
    state.run_mut(call)?.artifacts.insert(name.to_owned(), artifact);
    json(&response)
}

fn get(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let artifact = authorized(call, state)?;
    if let ArtifactSource::Stored { object, direct: true } = &artifact.source {
        return content::response(state.storage.content(object)?, call.head);
    }
    let (url, location) = locate(call, &artifact);
    let mut response = json_with_status(StatusCode::SEE_OTHER, &location);
    set(&mut response, LOCATION, &url)?;
    set(&mut response, STORAGE_TYPE, &artifact.storage_type)?;
    Ok(response)
}

/// Where the content is, for clients that do not want to be redirected.
fn get_location(call: &Call<'_>, state: &mut State) -> HandlerResult {
    let artifact = authorized(call, state)?;
    json(&locate(call, &artifact).1)
}

/// The artifact that a path names, if the caller may have it.
fn authorized(call: &Call<'_>, state: &mut State) -> Result<Artifact, Failure> {
    let name = call.param("name");
    if !name.starts_with("public/") {
        let required = call.params.all_of(&["queue:get-artifact:<name>"])?;
        Caller::authenticate(call)?.require(&required)?;
    }
    let artifact = state.run_mut(call)?.artifacts.get(name);
    artifact
        .filter(|artifact| artifact.expires > call.now)
        .cloned()
        .ok_or_else(|| Failure::not_found(format!("the run has no artifact {name}")))
}

fn locate(call: &Call<'_>, artifact: &Artifact) -> (String, Value) {
    let url = match &artifact.source {
        ArtifactSource::Stored { object, .. } => {
            format!("{}/storage/objects/{object}", call.deployment.root_url)
        }
        ArtifactSource::Elsewhere(url) => url.clone(),
    };
    let location = json!({ "storageType": artifact.storage_type, "url": url });
    (url, location)
}

const STORAGE_TYPE: HeaderName = HeaderName::from_static("x-taskcluster-artifact-storage-type");

/// For how long a putUrl is good.
const UPLOAD: Duration = Duration::from_secs(45 * 60);
