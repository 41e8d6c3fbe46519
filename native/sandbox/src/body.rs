//! The bodies of requests: JSON objects, and what a handler leaves unread.

use super::failure::{Failure, RequestInfo};
use super::payload::{Object, parse};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The JSON object that a request brings; errors repeat it. Not axum's `Json`, which takes no empty body for
/// an empty object, as the services do, and whose errors may quote what they found.
pub(super) struct Payload(pub(super) Arc<Object>);

/// A JSON object that holds a secret: errors do not repeat it.
pub(super) struct SecretPayload(pub(super) Object);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let info = info(&request);
        let object = Arc::new(read(request, state).await?);
        info.inspect(|info| info.set_payload(Arc::clone(&object)));
        Ok(Self(object))
    }
}

impl<S: Send + Sync> FromRequest<S> for SecretPayload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let omitted = [("secret".to_owned(), "(OMITTED)".into())];
        info(&request).inspect(|info| info.set_payload(Arc::new(omitted.into_iter().collect())));
        Ok(Self(read(request, state).await?))
    }
}

/// What errors will say of the request.
fn info(request: &Request) -> Option<Arc<RequestInfo>> {
    request.extensions().get().cloned()
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Object, Failure> {
    let content_type = essence(request.headers());
    let text = Bytes::from_request(request, state).await?;
    if !content_type.eq_ignore_ascii_case("application/json") {
        let found = if content_type.is_empty() { "none" } else { &content_type };
        return Err(Failure::Payload(format!(
            "expected a payload with Content-Type: application/json, found {found}"
        )));
    }
    parse(&text)
}

/// The media type that a header section says, without parameters.
fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).into_owned()
}

/// Reads what the handler left of the request body: with some of it unread the connection would be
/// reset, perhaps before the client has read the response.
pub(super) async fn drain_unread(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut body = SharedBody(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(head, Body::new(body.clone()))).await;
    let _ = count(&mut body, LINGER).await;
    response
}

/// Reads `body` to its end, or up to about `limit` bytes, and says how many there were.
pub(super) async fn count<B>(body: &mut B, limit: u64) -> Result<u64, Failure>
where
    B: HttpBody<Data = Bytes, Error = axum::Error> + Unpin,
{
    let mut length = 0;
    while length < limit
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Failure::Truncated(error.into()))?;
        length += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

/// A body of which the handler has one half and [`drain_unread`] the other.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Body>>);

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// As the services limit bodies, in bytes.
pub(super) const MAX_BODY: usize = 10 * 1024 * 1024;

/// How much of a body that is of no use is read before the connection is closed, in bytes.
const LINGER: u64 = 64 * 1024 * 1024;
