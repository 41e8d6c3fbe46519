//! Downloads and uploads of any size, to try out streaming. Real object services do not have these two
//! endpoints.

use super::body::count;
use super::deployment::Shared;
use super::failure::Failure;
use super::page::Arguments;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use http_body::{Frame, SizeHint};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) fn routes(deployment: &Shared) -> Router<Shared> {
    let download = deployment.method("downloadBytes", &["object:download:bytes"], get(download));
    let sink = deployment.method("uploadSink", &["object:upload:sink"], put(sink).post(sink));
    Router::new().route("/download/bytes/{length}", download).route("/upload/sink", sink)
}

/// The query parameters of a download.
#[derive(Deserialize)]
struct DownloadArguments {
    /// If present, with or without a value, the body is sent chunked, without a Content-Length.
    chunked: Option<String>,
}

/// A body that is generated while it is sent: the byte at offset `i` is `i % 251`.
pub(super) struct Generated {
    length: u64,
    sent: u64,
    /// Whether the response has a Content-Length; otherwise the body is chunked.
    announced: bool,
    pattern: Bytes,
}

async fn download(
    Path(length): Path<String>,
    Arguments(arguments): Arguments<DownloadArguments>,
) -> Result<Response, Failure> {
    let length = length.parse().ok().filter(|length| *length <= MAX_LENGTH).ok_or_else(|| {
        Failure::Arguments(format!("`length`: expected a number of bytes, at most {MAX_LENGTH}"))
    })?;
    let body = Generated::new(length, arguments.chunked.is_none());
    Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::new(body)).into_response())
}

async fn sink(mut body: Body) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "bytes": count(&mut body, u64::MAX).await? })))
}

impl Generated {
    fn new(length: u64, announced: bool) -> Self {
        // A frame can begin at any offset in the period.
        let pattern = (0..PERIOD).cycle().take(FRAME + usize::from(PERIOD)).collect();
        Self { length, sent: 0, announced, pattern }
    }
}

impl HttpBody for Generated {
    type Data = Bytes;
    type Error = Infallible;

    /// Always ready: hyper does not poll while the connection is not writable.
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        let left = usize::try_from(body.length - body.sent).unwrap_or(FRAME).min(FRAME);
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

/// The maximum length of a download: 1 TiB, in bytes.
const MAX_LENGTH: u64 = 1 << 40;

/// The size of a data frame, in bytes.
const FRAME: usize = 16 * 1024;

/// The period of the pattern: a prime, so that a lost or repeated frame can be detected.
const PERIOD: u8 = 251;
