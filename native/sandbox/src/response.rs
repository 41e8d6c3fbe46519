//! The responses of services, and the kinds of bodies that they have.

use super::failure::Failure;
use super::object::Generated;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A response, also that of an error.
pub(super) type ServiceResponse = Response<ServiceBody>;

/// The result of a handler.
pub(super) type HandlerResult = Result<ServiceResponse, Failure>;

/// The body of a response.
pub(super) enum ServiceBody {
    /// Held in memory.
    Held(Bytes),
    /// Made while it is sent.
    Generated(Generated),
}

/// 200 with JSON.
pub(super) fn json(value: &Value) -> HandlerResult {
    Ok(json_with_status(StatusCode::OK, value))
}

pub(super) fn json_with_status(status: StatusCode, value: &Value) -> ServiceResponse {
    let mut response = Response::new(ServiceBody::from(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Sets a header whose value comes from what a client sent some time.
pub(super) fn set(
    response: &mut ServiceResponse,
    name: HeaderName,
    value: &str,
) -> Result<(), Failure> {
    let value = HeaderValue::from_str(value).map_err(Failure::internal)?;
    response.headers_mut().insert(name, value);
    Ok(())
}

impl<B: Into<Bytes>> From<B> for ServiceBody {
    fn from(content: B) -> Self {
        Self::Held(content.into())
    }
}

impl Body for ServiceBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Held(content) => {
                let content = std::mem::take(content);
                Poll::Ready((!content.is_empty()).then(|| Ok(Frame::data(content))))
            }
            Self::Generated(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Held(content) => SizeHint::with_exact(content.len() as u64),
            Self::Generated(body) => body.size_hint(),
        }
    }
}
