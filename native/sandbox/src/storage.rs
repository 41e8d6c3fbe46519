//! The object storage, which is S3 in a real deployment. The URL of an object is enough to download it;
//! uploads need a separate URL.

use super::content;
use super::deployment::{Shared, now};
use super::failure::Failure;
use super::random::slugid;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use taskcluster_proxy_core::Timestamp;

/// The routes under `/storage`.
pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    Router::new()
        .route("/uploads/{token}", deployment.method("upload", &[], put(upload)))
        .route("/objects/{token}", deployment.method("download", &[], get(download)))
}

/// The objects and the permitted uploads, each by its token, which cannot be guessed.
#[derive(Default)]
pub(super) struct Storage {
    objects: HashMap<String, Object>,
    uploads: HashMap<String, Upload>,
}

/// The content of an object.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) content_type: String,
    pub(super) modified: Timestamp,
}

struct Object {
    content_type: String,
    /// `None` before the upload.
    content: Option<Content>,
}

struct Upload {
    object: String,
    until: Timestamp,
}

impl Storage {
    /// Creates an object without content, and returns its token.
    pub(super) fn reserve(&mut self, content_type: &str) -> Result<String, Failure> {
        let object = slugid()?;
        let content_type = content_type.to_owned();
        self.objects.insert(object.clone(), Object { content_type, content: None });
        Ok(object)
    }

    /// Permits an upload of the object until `until`, and returns its token.
    pub(super) fn grant_upload(
        &mut self,
        object: &str,
        until: Timestamp,
    ) -> Result<String, Failure> {
        let token = slugid()?;
        self.uploads.insert(token.clone(), Upload { object: object.to_owned(), until });
        Ok(token)
    }

    /// Sets the content of an object, if it exists.
    pub(super) fn fill(&mut self, object: &str, bytes: Bytes, now: Timestamp) {
        if let Some(object) = self.objects.get_mut(object) {
            let content_type = object.content_type.clone();
            object.content = Some(Content { bytes, content_type, modified: now });
        }
    }

    /// The content of an object.
    pub(super) fn content(&self, object: &str) -> Result<&Content, Failure> {
        self.objects
            .get(object)
            .and_then(|object| object.content.as_ref())
            .ok_or_else(|| Failure::NotFound("the URL has no content, or not yet".to_owned()))
    }
}

async fn upload(
    State(deployment): State<Shared>,
    Path(token): Path<String>,
    content: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let (content, now) = (content?, now());
    let mut records = deployment.records();
    let upload = records.storage.uploads.get(&token).filter(|upload| upload.until > now);
    let Some(upload) = upload else {
        return Err(Failure::NotFound("the URL allows no upload, or no longer".to_owned()));
    };
    let object = upload.object.clone();
    records.storage.fill(&object, content, now);
    Ok(Json(json!({})))
}

async fn download(
    State(deployment): State<Shared>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    Ok(content::response(deployment.records().storage.content(&token)?, &headers))
}
