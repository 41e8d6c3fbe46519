//! Calls of the proxy's own to the services of a deployment.

use crate::outbound::{
    Origin, Outbound, OutboundRequest, ReplayBudget, RequestBody, ResponseBodyError, Target,
    UpstreamError,
};
use crate::telemetry::printable;
use bytes::Bytes;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{Form, RootUrl, ServiceError};

/// What a service responded.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// None came.
    #[error(transparent)]
    Send(#[from] UpstreamError),
    /// None came within the time for that.
    #[error(
        "no response to GET {} within {} seconds: see whether the deployment works, and whether a \
         gateway between this machine and it holds responses back",
        .0,
        .1.as_secs()
    )]
    NoResponse(String, Duration),
    /// Its body did not come to the end.
    #[error(transparent)]
    Truncated(#[from] ResponseBodyError),
    /// Its body is longer than anything that it should be.
    #[error("the response is longer than {0} bytes")]
    TooLarge(usize),
    /// The URL cannot be requested.
    #[error("not a URL that can be requested: {0}")]
    Uri(#[from] InvalidUri),
}

/// Gets `path`, which is percent-encoded and starts with `/api`; the same way as requests of tasks,
/// retries included. `limit`: the longest body, in bytes.
///
/// # Errors
///
/// No response comes, or not all of it, or more than that.
pub async fn get(
    outbound: &Outbound,
    root_url: &RootUrl,
    path: &str,
    signer: Option<&Signer>,
    limit: usize,
) -> Result<Response, CallError> {
    let origin = Arc::new(Origin::of_root_url(root_url)?);
    let path_and_query = PathAndQuery::try_from([root_url.prefix(), path].concat())?;
    let request = OutboundRequest {
        method: &Method::GET,
        target: &Target::new(origin, path_and_query, Form::Service),
        headers: &HeaderMap::new(),
        accepts_trailers: false,
        signer,
    };
    let nothing = RequestBody::empty(&Arc::new(ReplayBudget::new(0, 0)));
    let response = outbound.send(&request, &nothing, &Cell::new(0)).await?;
    let body = Limited::new(response.body, limit).collect().await.map_err(|error| {
        match error.downcast::<ResponseBodyError>() {
            Ok(error) => CallError::Truncated(*error),
            // The limit is the one other error that there is.
            Err(_) => CallError::TooLarge(limit),
        }
    })?;
    let http::response::Parts { status, headers, .. } = response.head;
    Ok(Response { status, headers, body: body.to_bytes() })
}

/// `: ` and what a service says of its error, in one line; nothing where it says nothing.
pub fn message(body: &[u8]) -> String {
    let Some(error) = ServiceError::parse(body) else {
        return String::new();
    };
    let mut line = printable(&error.to_line());
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push_str("...");
    }
    format!(": {line}")
}

/// The longest message that is shown, in characters: some list hundreds of scopes.
const MAX_MESSAGE: usize = 1000;
