//! What S3 is to a real deployment: objects that whoever has the URL can get, and put once allowed.

use super::call::Call;
use super::content;
use super::endpoint::{Endpoint, Handler};
use super::failure::Failure;
use super::random::slugid;
use super::response::{HandlerResult, json};
use super::state::State;
use bytes::Bytes;
use serde_json::json;
use std::collections::HashMap;
use taskcluster_proxy_core::Timestamp;

/// Under `/storage/`.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "PUT",
        path: "uploads/<token>",
        name: "upload",
        scopes: &[],
        handler: Handler::Content(upload),
    },
    Endpoint {
        method: "GET",
        path: "objects/<token>",
        name: "download",
        scopes: &[],
        handler: Handler::Plain(download),
    },
];

/// The objects, and who may write them. The tokens that name them cannot be guessed.
#[derive(Default)]
pub(super) struct Storage {
    objects: HashMap<String, Object>,
    uploads: HashMap<String, Upload>,
}

/// What an object holds.
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
    /// Makes an object without content: its token.
    pub(super) fn reserve(&mut self, content_type: &str) -> Result<String, Failure> {
        let object = slugid()?;
        let content_type = content_type.to_owned();
        self.objects.insert(object.clone(), Object { content_type, content: None });
        Ok(object)
    }

    /// Allows an object to be written until `until`: the token for that.
    pub(super) fn grant_upload(
        &mut self,
        object: &str,
        until: Timestamp,
    ) -> Result<String, Failure> {
        let token = slugid()?;
        self.uploads.insert(token.clone(), Upload { object: object.to_owned(), until });
        Ok(token)
    }

    /// Writes an object, if there is such.
    pub(super) fn fill(&mut self, object: &str, bytes: Bytes, now: Timestamp) {
        if let Some(object) = self.objects.get_mut(object) {
            let content_type = object.content_type.clone();
            object.content = Some(Content { bytes, content_type, modified: now });
        }
    }

    /// What an object holds.
    pub(super) fn content(&self, object: &str) -> Result<&Content, Failure> {
        self.objects
            .get(object)
            .and_then(|object| object.content.as_ref())
            .ok_or_else(|| Failure::not_found("the URL has no content, or not yet"))
    }
}

fn upload(call: &Call<'_>, bytes: Bytes, state: &mut State) -> HandlerResult {
    let upload = state.storage.uploads.get(call.param("token"));
    let Some(upload) = upload.filter(|upload| upload.until > call.now) else {
        return Err(Failure::not_found("the URL allows no upload, or no longer"));
    };
    let object = upload.object.clone();
    state.storage.fill(&object, bytes, call.now);
    json(&json!({}))
}

fn download(call: &Call<'_>, state: &mut State) -> HandlerResult {
    content::response(state.storage.content(call.param("token"))?, call.head)
}
