//! Downloads and uploads of any size, to try how the proxy streams. No real object service has
//! these two endpoints.

use super::call::Call;
use super::endpoint::{Endpoint, Handler};
use super::failure::{Code, Failure};
use super::response::{HandlerResult, ServiceBody, ServiceResponse, json};
use super::state::State;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "download/bytes/<length>",
        name: "downloadBytes",
        scopes: &["object:download:bytes"],
        handler: Handler::Plain(download),
    },
    Endpoint {
        method: "PUT",
        path: "upload/sink",
        name: "uploadSink",
        scopes: &["object:upload:sink"],
        handler: Handler::Sink(sink),
    },
    Endpoint {
        method: "POST",
        path: "upload/sink",
        name: "uploadSink",
        scopes: &["object:upload:sink"],
        handler: Handler::Sink(sink),
    },
];

/// Bytes made as they are asked for: the byte at offset `i` is `i % 251`.
pub(super) struct Generated {
    length: u64,
    sent: u64,
    /// Whether the length is told beforehand; else the body goes out in chunks.
    announced: bool,
    pattern: Bytes,
}

fn download(call: &Call<'_>, _: &mut State) -> HandlerResult {
    let length = call.param("length").parse().ok().filter(|length| *length <= MAX_LENGTH);
    let length = length.ok_or_else(|| {
        let reason = format!("`length`: expected a number of bytes, at most {MAX_LENGTH}");
        Failure::new(Code::InvalidRequestArguments, reason)
    })?;
    let body = Generated::new(length, !call.has_flag("chunked"));
    let mut response = ServiceResponse::new(ServiceBody::Generated(body));
    let binary = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, binary);
    Ok(response)
}

fn sink(length: u64) -> HandlerResult {
    json(&json!({ "bytes": length }))
}

impl Generated {
    fn new(length: u64, announced: bool) -> Self {
        // A piece can begin anywhere in the period.
        let pattern = (0..PERIOD).cycle().take(PIECE + usize::from(PERIOD)).collect();
        Self { length, sent: 0, announced, pattern }
    }
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    /// Always ready: hyper asks no more while the connection takes none.
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        let left = usize::try_from(body.length - body.sent).unwrap_or(PIECE).min(PIECE);
        if left == 0 {
            return Poll::Ready(None);
        }
        let start = (body.sent % u64::from(PERIOD)) as usize;
        body.sent += left as u64;
        Poll::Ready(Some(Ok(Frame::data(body.pattern.slice(start..start + left)))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced { SizeHint::with_exact(self.length - self.sent) } else { SizeHint::new() }
    }
}

/// 1 TiB, in bytes: more than anyone waits for.
const MAX_LENGTH: u64 = 1 << 40;

/// How much goes out at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// A prime, so that pieces differ and a lost or doubled one shows.
const PERIOD: u8 = 251;
