//! Requests as they are sent to an upstream, over HTTP/1.1 and over HTTP/2.

use super::http1::ProxiedRequests;
use super::origin::Target;
use super::replay::{AttemptBody, RequestBody};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use taskcluster_proxy_core::credentials::Signer;

/// A request to an upstream, from which the message of each attempt is built.
#[derive(Debug)]
pub struct OutboundRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL.
    pub target: &'a Target,
    /// The end-to-end header fields, without `Host` and `Authorization`.
    pub headers: &'a HeaderMap,
    /// Whether the client accepts trailer fields.
    pub accepts_trailers: bool,
    /// Signs the request; `None` for an unsigned request.
    pub signer: Option<&'a Signer>,
}

impl OutboundRequest<'_> {
    pub(super) fn for_http1(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
        body: &RequestBody,
        proxied: Option<&ProxiedRequests>,
    ) -> Request<AttemptBody> {
        let mut request = self.outgoing(authorization, attempt);
        let headers = request.headers_mut();
        headers.insert(HOST, self.target.origin.host_field().clone());
        if body.length().is_none() {
            // hyper assumes that a GET without a length has no body.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if self.accepts_trailers {
            // `Connection` must name TE, so that no intermediary forwards it (RFC 9110 section 10.1.4).
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
        match proxied {
            None => *request.uri_mut() = origin_form(&self.target.uri),
            Some(ProxiedRequests { authorization }) => {
                if let Some(authorization) = authorization {
                    request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
                }
                *request.uri_mut() = self.target.uri.clone();
            }
        }
        request
    }

    pub(super) fn for_http2(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
    ) -> Request<AttemptBody> {
        let mut request = self.outgoing(authorization, attempt);
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.target.uri.clone();
        if self.accepts_trailers {
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        request
    }

    fn outgoing(
        &self,
        authorization: Option<HeaderValue>,
        attempt: AttemptBody,
    ) -> Request<AttemptBody> {
        let mut headers = self.headers.clone();
        // hyper would add no Content-Length to an empty body that the client sent chunked.
        if let Some(length) = attempt.length() {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let mut request = Request::new(attempt);
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// The request target in origin form: only path and query.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}
