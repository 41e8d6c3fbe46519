//! Responses to clients: forwarded ones, and those of the proxy itself.

use super::access_log::AccessLog;
use super::headers::remove_hop_by_hop;
use crate::credentials::Lease;
use crate::outbound::{self, RequestBody, ResponseBodyError, Target, UpstreamResponse};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode, response};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use taskcluster_proxy_core::proxy::{ProxyError, ResponseFields};

/// The body of a response to a client.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    log: Rc<AccessLog>,
    /// The lease of the request, which ends with the response.
    _lease: Lease,
}

#[derive(Debug)]
enum Source {
    /// A body of the proxy itself; `None` when it was sent.
    Own(Option<Bytes>),
    Upstream(outbound::ResponseBody),
    /// A truncated body of an upstream. hyper writes the frames before the error, and then gets the
    /// error and closes the client's connection.
    Truncated(Option<ResponseBodyError>),
}

/// A response of the proxy itself.
#[derive(Debug)]
pub(super) struct OwnResponse {
    pub(super) status: StatusCode,
    fields: [Option<(HeaderName, HeaderValue)>; 2],
    body: String,
}

impl OwnResponse {
    /// A response without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, fields: [None, None], body: String::new() }
    }

    /// The response to `POST /bewit`.
    pub(super) fn see_other(url: String) -> Self {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        // Cannot fail: the URL was parsed and percent-encoded.
        let location = HeaderValue::try_from(&url).ok().map(|url| (LOCATION, url));
        let fields = [Some((CONTENT_TYPE, content_type)), location];
        Self { status: StatusCode::SEE_OTHER, fields, body: url }
    }

    /// An error in the shape of Taskcluster's services.
    pub(super) fn error(error: &ProxyError) -> Self {
        let content_type = HeaderValue::from_static("application/json");
        let allow = error.allow().map(|allow| (ALLOW, HeaderValue::from_static(allow)));
        let fields = [Some((CONTENT_TYPE, content_type)), allow];
        Self { status: error.status(), fields, body: error.to_json() }
    }

    /// Responds to the request of `log`. If `close` is set, the client's connection is closed after the
    /// response.
    pub(super) fn respond(
        self,
        lease: Lease,
        log: &Rc<AccessLog>,
        close: bool,
    ) -> Response<ResponseBody> {
        let Self { status, fields, body } = self;
        log.status.set(status.as_u16());
        let mut response = Response::new(());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.extend(fields.into_iter().flatten());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let (mut head, ()) = response.into_parts();
        let is_error = status.is_client_error() || status.is_server_error();
        add_own_fields(&mut head, &lease, log, close, is_error);
        let body = Some(Bytes::from(body)).filter(|body| !body.is_empty());
        if status.is_server_error() {
            log.fail();
        }
        if body.is_none() || log.is_head() {
            log.complete();
        }
        let body = ResponseBody { source: Source::Own(body), log: Rc::clone(log), _lease: lease };
        Response::from_parts(head, body)
    }
}

/// Forwards the response of `target` to the request of `log`. `diagnosis` is the reason why the service
/// refused the request, short enough for a header field.
pub(super) fn forward(
    response: UpstreamResponse,
    target: &Target,
    diagnosis: Option<&str>,
    lease: Lease,
    log: &Rc<AccessLog>,
    request_body: &RequestBody,
) -> Response<ResponseBody> {
    let UpstreamResponse { mut head, body, .. } = response;
    log.status.set(head.status.as_u16());
    log.responded();
    head.version = http::Version::HTTP_11;
    remove_hop_by_hop(&mut head.headers, |role| !role.is_forwarded_in_responses());
    if head.status == StatusCode::NO_CONTENT {
        // Not allowed in a 204 response (RFC 9110 section 8.6).
        head.headers.remove(CONTENT_LENGTH);
    }
    let endpoint = [target.origin.as_str(), target.resource()].concat();
    let endpoint = HeaderValue::from_maybe_shared(Bytes::from(endpoint));
    let diagnosis = diagnosis.and_then(|diagnosis| HeaderValue::from_str(diagnosis).ok());
    // If the client has not sent its whole body, the connection is closed: otherwise the client would
    // send the rest of the body before its next request (RFC 9112 section 9.6, RFC 9110 section 10.1.1).
    add_own_fields(&mut head, &lease, log, !request_body.is_complete(), false);
    // If there is no room for both, the URL is left out, because the client knows it.
    let length = diagnosis.as_ref().map_or(0, HeaderValue::len);
    if let Ok(endpoint) = endpoint
        && endpoint.len() + length <= MAX_VARIABLE_FIELDS
    {
        head.headers.insert(ENDPOINT, endpoint);
    }
    if let Some(diagnosis) = diagnosis {
        head.headers.insert(DIAGNOSIS, diagnosis);
    }
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || log.is_head() || body.is_end_stream() {
        log.complete();
    }
    let body = ResponseBody { source: Source::Upstream(body), log: Rc::clone(log), _lease: lease };
    Response::from_parts(head, body)
}

/// Adds the proxy's header fields. `is_error`: the response is an error of the proxy itself, which does
/// not depend on the authorized scopes.
fn add_own_fields(
    head: &mut response::Parts,
    lease: &Lease,
    log: &AccessLog,
    close: bool,
    is_error: bool,
) {
    for (name, value) in &lease.response_fields {
        if is_error && ResponseFields::is_authorized_scopes(name.as_str()) {
            continue;
        }
        head.headers.insert(name, value.clone());
    }
    if let Ok(id) = HeaderValue::from_str(log.id().as_str()) {
        head.headers.insert(REQUEST_ID, id);
    }
    if close {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The maximum length of endpoint and diagnosis together, in bytes. With at most 4 KiB about the
/// credentials, the proxy's own header fields have less than 8 KiB. Services do not accept longer URLs.
const MAX_VARIABLE_FIELDS: usize = 4 * 1024;

const DIAGNOSIS: HeaderName = HeaderName::from_static(ResponseFields::DIAGNOSIS);
const ENDPOINT: HeaderName = HeaderName::from_static(ResponseFields::ENDPOINT);
const REQUEST_ID: HeaderName = HeaderName::from_static(ResponseFields::REQUEST_ID);

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Own(body) => body.take().map(|body| Ok(Frame::data(body))),
            Source::Upstream(body) => ready!(Pin::new(body).poll_frame(context)),
            Source::Truncated(error) => return Poll::Ready(error.take().map(Err)),
        };
        if let Some(Err(error)) = polled {
            this.log.truncate(error.to_string());
            this.source = Source::Truncated(Some(error));
            // Pending once, so that hyper writes its buffer first: it discards the buffer at an error.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(Ok(frame)) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            this.log.sent.set(this.log.sent.get() + length);
        }
        if polled.is_none() || this.is_end_stream() {
            this.log.complete();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
            Source::Truncated(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Source::Upstream(body) => body.size_hint(),
            Source::Truncated(_) => SizeHint::new(),
        }
    }
}
