//! What goes back: a response, and the kinds of bodies that it can have.

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

/// An answer, good or bad.
pub(super) type Reply = Response<ReplyBody>;

/// What a handler has to say.
pub(super) type Answer = Result<Reply, Failure>;

/// The body of an answer.
pub(super) enum ReplyBody {
    /// Held in memory.
    Held(Bytes),
    /// Made while it is sent.
    Generated(Generated),
}

/// 200 with JSON.
pub(super) fn json(value: &Value) -> Answer {
    Ok(json_with_status(StatusCode::OK, value))
}

pub(super) fn json_with_status(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(ReplyBody::from(value.to_string()));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}

/// Sets a header whose value comes from what a client sent some time.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &str) -> Result<(), Failure> {
    let value = HeaderValue::from_str(value).map_err(Failure::internal)?;
    reply.headers_mut().insert(name, value);
    Ok(())
}

impl<B: Into<Bytes>> From<B> for ReplyBody {
    fn from(content: B) -> Self {
        Self::Held(content.into())
    }
}

impl Body for ReplyBody {
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
