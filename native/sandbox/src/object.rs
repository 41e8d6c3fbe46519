//! Downloads and uploads of any size, to try how the proxy streams. No real object service has
//! these two endpoints.

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

/// How a download is sent.
#[derive(Deserialize)]
struct DownloadArguments {
    /// Whether in chunks, without a Content-Length; with or without a value.
    chunked: Option<String>,
}

/// Bytes made as they are asked for: the byte at offset `i` is `i % 251`.
pub(super) struct Generated {
    length: u64,
    sent: u64,
    /// Whether the length is told beforehand; else the body goes out in chunks.
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
        // A piece can begin anywhere in the period.
        let pattern = (0..PERIOD).cycle().take(PIECE + usize::from(PERIOD)).collect();
        Self { length, sent: 0, announced, pattern }
    }
}

impl HttpBody for Generated {
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
