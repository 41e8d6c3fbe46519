//! The bodies of requests: parsing JSON objects, and draining the unread rest.

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

/// The JSON object in the body of a request; error responses repeat it. axum's `Json` is not used, because
/// it does not read an empty body as an empty object, as the services do, and its errors may quote the body.
pub(super) struct Payload(pub(super) Arc<Object>);

/// A JSON object that contains a secret; error responses do not repeat it.
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

/// The details of the request for error responses.
fn info(request: &Request) -> Option<Arc<RequestInfo>> {
    request.extensions().get().cloned()
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Object, Failure> {
    let content_type = media_type(request.headers());
    let text = Bytes::from_request(request, state).await?;
    if !content_type.eq_ignore_ascii_case("application/json") {
        let found = if content_type.is_empty() { "none" } else { &content_type };
        return Err(Failure::Payload(format!(
            "expected a payload with Content-Type: application/json, found {found}"
        )));
    }
    parse(&text)
}

/// The media type of a body according to its `Content-Type`, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(media_type.trim_ascii()).into_owned()
}

/// Reads the rest of the request body that the handler has not read. Otherwise the connection would be
/// reset, perhaps before the client has read the response.
pub(super) async fn drain_unread(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut body = SharedBody(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(head, Body::new(body.clone()))).await;
    let _ = count(&mut body, MAX_DRAIN).await;
    response
}

/// Reads `body` to its end, or up to about `limit` bytes, and returns the number of bytes.
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

/// A body that the handler and [`drain_unread`] share.
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

/// The maximum size of a request body, in bytes, as in the services.
pub(super) const MAX_BODY: usize = 10 * 1024 * 1024;

/// The maximum of an unread body that is read before the connection is closed, in bytes.
const MAX_DRAIN: u64 = 64 * 1024 * 1024;
