//! Requests that the proxy itself sends to the services of a deployment.

use crate::os::clock;
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
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::proxy::{
    CredentialsProfile, Diagnosis, Form, RefusedRequest, RootUrl, ServiceError,
};

/// The response of a service.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The time in the request's signature, if the request was signed.
    pub signed_at: Timestamp,
    /// The whole body.
    pub body: Bytes,
}

/// Why no complete response was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There was no response.
    #[error(transparent)]
    Send(#[from] UpstreamError),
    /// There was no response within the timeout.
    #[error(
        "no response to GET {} within {} s: check the deployment, and any gateway or \
         firewall between this machine and it",
        .0,
        .1.as_secs()
    )]
    NoResponse(String, Duration),
    /// The body was truncated.
    #[error(transparent)]
    Truncated(#[from] ResponseBodyError),
    /// The body is longer than the limit.
    #[error("the response is longer than {0} bytes")]
    TooLarge(usize),
    /// The URL is invalid.
    #[error("invalid URL: {0}")]
    Uri(#[from] InvalidUri),
}

/// Sends a GET request for `path`, which is percent-encoded and starts with `/api`, in the same way as
/// requests of tasks, including retries. `limit` is the maximum length of the body, in bytes.
///
/// # Errors
///
/// There is no response, or its body is truncated or longer than `limit`.
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
    let signed_at = response.signed_at;
    let body = Limited::new(response.body, limit).collect().await.map_err(|error| {
        match error.downcast::<ResponseBodyError>() {
            Ok(error) => CallError::Truncated(*error),
            // The only other error is that of the limit.
            Err(_) => CallError::TooLarge(limit),
        }
    })?;
    let http::response::Parts { status, headers, .. } = response.head;
    Ok(Response { status, headers, signed_at, body: body.to_bytes() })
}

/// Determines why a service responded with 401 or 403 to a request for `resource` that was signed with these
/// credentials.
pub fn diagnose(response: &Response, profile: &CredentialsProfile, resource: &str) -> Diagnosis {
    let Response { status, headers, signed_at, body } = response;
    let error = ServiceError::parse(body);
    profile.diagnose(&refused(*status, headers, error.as_ref(), *signed_at, resource))
}

/// A request for `resource`, signed at `signed_at`, to which a service responded now with this status, these
/// header fields and, if its body has one, this error.
pub fn refused<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    error: Option<&'a ServiceError>,
    signed_at: Timestamp,
    resource: &'a str,
) -> RefusedRequest<'a> {
    let (date, now) = (clock::date_of(headers), clock::now());
    RefusedRequest { status: status.as_u16(), error, date, now, signed_at, resource }
}

/// What to do about the refusal of a request that the proxy itself has signed.
pub fn advice(diagnosis: &Diagnosis) -> String {
    match diagnosis.is_empty() {
        true => "get new credentials if they should be accepted".to_owned(),
        false => diagnosis.to_string(),
    }
}

/// `: ` and the message of a service's error, in one line; empty if the body is not such an error.
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

/// The maximum length of the message, in characters. Some messages list hundreds of scopes.
const MAX_MESSAGE: usize = 1000;
