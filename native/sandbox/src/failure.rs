//! Errors in the services' shape.

use super::payload::Object;
use super::response::{ServiceResponse, json_with_status};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::AuthenticateError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
#[error("{code:?}: {message}")]
pub(super) struct Failure {
    code: Code,
    message: String,
}

/// The services' error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Code {
    MalformedPayload,
    InvalidRequestArguments,
    InputError,
    AuthenticationFailed,
    InsufficientScopes,
    ResourceNotFound,
    RequestConflict,
    InputTooLarge,
    InternalServerError,
}

/// What the response to a request that fails repeats of it. Nothing secret may get in here.
pub(super) struct RequestInfo {
    /// The name of the API method; empty where there is none.
    pub(super) method: &'static str,
    pub(super) params: Object,
    pub(super) payload: Object,
    time: Timestamp,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Code::ResourceNotFound, what)
    }

    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(Code::InternalServerError, format!("the sandbox failed: {error}"))
    }

    pub(super) fn into_reply(self, info: RequestInfo) -> ServiceResponse {
        let Self { code, message } = self;
        let RequestInfo { method, params, payload, time } = info;
        let (status, time) = (code.status(), time.to_rfc3339());
        let message = format!(
            "{message}\n\n---\n\n* method:     {method}\n* errorCode:  {code:?}\n* statusCode: {}\n\
             * time:       {time}",
            status.as_u16()
        );
        let mut response = json_with_status(
            status,
            &json!({
                "code": code,
                "message": message,
                "requestInfo": {
                    "method": method,
                    "params": params,
                    "payload": payload,
                    "time": time,
                },
            }),
        );
        if code == Code::AuthenticationFailed {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("hawk"));
        }
        response
    }
}

impl From<AuthenticateError> for Failure {
    fn from(error: AuthenticateError) -> Self {
        Self::new(Code::AuthenticationFailed, error.to_string())
    }
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::MalformedPayload | Self::InvalidRequestArguments | Self::InputError => {
                StatusCode::BAD_REQUEST
            }
            Self::AuthenticationFailed => StatusCode::UNAUTHORIZED,
            Self::InsufficientScopes => StatusCode::FORBIDDEN,
            Self::ResourceNotFound => StatusCode::NOT_FOUND,
            Self::RequestConflict => StatusCode::CONFLICT,
            Self::InputTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl RequestInfo {
    pub(super) fn new(time: Timestamp) -> Self {
        Self { method: "", params: Object::new(), payload: Object::new(), time }
    }
}
