//! The bodies of answers, and the answers of the proxy's own.

use crate::clock;
use crate::credentials::Lease;
use crate::upstream::UpstreamBody;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, DATE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::pin::Pin;
use std::task::{Context, Poll};
use taskcluster_proxy_core::proxy::ProxyError;

/// The body of an answer. The request counts as in flight until it has been sent.
#[derive(Debug)]
pub struct ReplyBody {
    source: Source,
    _lease: Lease,
}

/// Where a body comes from.
#[derive(Debug)]
pub enum Source {
    /// The proxy itself.
    Own(Full<Bytes>),
    /// An upstream.
    Upstream(UpstreamBody),
}

/// An empty answer.
pub fn empty(status: StatusCode) -> Response<Source> {
    own(status, Full::default())
}

/// The answer to `POST /bewit`.
pub fn see_other(url: String) -> Response<Source> {
    let mut reply = own(StatusCode::SEE_OTHER, Full::from(url.clone()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match HeaderValue::try_from(url) {
        Ok(location) => {
            headers.insert(LOCATION, location);
            reply
        }
        // A URL that was parsed and percent-encoded can stand in a header.
        Err(_) => error(&ProxyError::Internal),
    }
}

/// An error in the shape of Taskcluster's services.
pub fn error(error: &ProxyError) -> Response<Source> {
    let mut reply = own(error.status(), Full::from(error.to_json()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(allow) = error.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    reply
}

fn own(status: StatusCode, body: Full<Bytes>) -> Response<Source> {
    let mut reply = Response::new(Source::Own(body));
    *reply.status_mut() = status;
    // An answer from upstream keeps the date that it came with, or none.
    if let Ok(date) = HeaderValue::try_from(clock::http_date()) {
        reply.headers_mut().insert(DATE, date);
    }
    reply
}

impl ReplyBody {
    /// The body of an answer to a request that holds `lease`.
    pub fn new(source: Source, lease: Lease) -> Self {
        Self { source, _lease: lease }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.source {
            Source::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Source::Upstream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_end_stream(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => body.size_hint(),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}
