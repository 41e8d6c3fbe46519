//! Errors in the form of the services.

use super::api::Params;
use super::body::MAX_BODY;
use super::deployment::now;
use super::payload::Object;
use axum::Json;
use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, QueryRejection, RawPathParamsRejection};
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::AuthenticateError;

/// Why a request is rejected. The messages contain no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Failure {
    /// The signature, the certificate or the bewit is not valid.
    #[error(transparent)]
    Authentication(#[from] AuthenticateError),
    /// The caller lacks scopes. The message is the same as that of real services.
    #[error(
        "Client ID {client_id} does not have sufficient scopes and is missing the following scopes:\n\n\
         ```\n{missing}\n```\n\nThis request requires the client to satisfy the following scope \
         expression:\n\n```\n{required}\n```"
    )]
    Scopes { client_id: String, missing: String, required: String },
    /// A parameter of the path or the query is invalid.
    #[error("{0}")]
    Arguments(String),
    /// The query has a parameter twice. There is no other error, because all parameters are optional strings.
    #[error("expected each parameter of the query once, found a {}", innermost(.0))]
    Query(#[from] QueryRejection),
    /// The path cannot be decoded.
    #[error("expected a path of percent-encoded UTF-8")]
    Path(#[from] RawPathParamsRejection),
    /// The body is not a JSON object.
    #[error("{0}")]
    Payload(String),
    /// A member of the body is invalid.
    #[error("{0}")]
    Input(String),
    /// The body is larger than the limit.
    #[error("expected a body of at most {MAX_BODY} bytes, found a larger one")]
    TooLarge(#[source] BytesRejection),
    /// The body ended early.
    #[error("the client closed the connection before sending the whole request body")]
    Truncated(#[source] Box<dyn Error + Send + Sync>),
    /// The resource does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The resource is in a state that does not allow the request.
    #[error("{0}")]
    Conflict(String),
    /// An internal error of the sandbox.
    #[error("the sandbox failed: {0}")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// The details of a request that an error response repeats. It must not contain secrets.
pub(super) struct RequestInfo {
    time: Timestamp,
    /// The name and the parameters of the API method, if there is one.
    method: OnceLock<(&'static str, Params)>,
    payload: OnceLock<Arc<Object>>,
}

/// Writes the bodies of error responses. This is done in a middleware, because only here the details of the
/// request are known.
pub(super) async fn describe_failures(mut request: Request, next: Next) -> Response {
    let info =
        Arc::new(RequestInfo { time: now(), method: OnceLock::new(), payload: OnceLock::new() });
    request.extensions_mut().insert(Arc::clone(&info));
    let mut response = next.run(request).await;
    let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() else {
        return response;
    };
    let (head, _) = response.into_parts();
    (head.status, head.headers, Json(failure.to_json(&info))).into_response()
}

impl IntoResponse for Failure {
    /// A response without a body; [`describe_failures`] adds it.
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_code();
        let challenge =
            (status == StatusCode::UNAUTHORIZED).then_some([(WWW_AUTHENTICATE, "hawk")]);
        let mut response = (status, challenge, ()).into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl Failure {
    pub(super) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// The error code of the services, and its status.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Authentication(_) => (StatusCode::UNAUTHORIZED, "AuthenticationFailed"),
            Self::Scopes { .. } => (StatusCode::FORBIDDEN, "InsufficientScopes"),
            Self::Arguments(_) | Self::Query(_) | Self::Path(_) => {
                (StatusCode::BAD_REQUEST, "InvalidRequestArguments")
            }
            Self::Payload(_) | Self::Truncated(_) => (StatusCode::BAD_REQUEST, "MalformedPayload"),
            Self::Input(_) => (StatusCode::BAD_REQUEST, "InputError"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "InputTooLarge"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "ResourceNotFound"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "RequestConflict"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        }
    }

    fn to_json(&self, info: &RequestInfo) -> Value {
        let (status, code) = self.status_and_code();
        let time = info.time.to_rfc3339();
        let (method, params) = info.method.get().cloned().unwrap_or_default();
        let message = format!(
            "{self}\n\n---\n\n* method:     {method}\n* errorCode:  {code}\n* statusCode: {}\n\
             * time:       {time}",
            status.as_u16()
        );
        let payload = info.payload.get().map(Arc::as_ref).cloned().unwrap_or_default();
        json!({
            "code": code,
            "message": message,
            "requestInfo": { "method": method, "params": params, "payload": payload, "time": time },
        })
    }
}

/// The message of the innermost source of `error`.
fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(rejection),
            _ => Self::Truncated(rejection.into()),
        }
    }
}

impl RequestInfo {
    pub(super) fn set_method(&self, name: &'static str, mut params: Params) {
        params.remove(SECRET_PARAM);
        // This cannot fail: the route of a request sets it once.
        let _ = self.method.set((name, params));
    }

    pub(super) fn set_payload(&self, payload: Arc<Object>) {
        // This cannot fail: the extractor of a request's body sets it once.
        let _ = self.payload.set(payload);
    }
}

/// The only parameter that is a secret: a token of the storage.
const SECRET_PARAM: &str = "token";
