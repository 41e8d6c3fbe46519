//! A request as it is sent to an upstream, over HTTP/1.1 and over HTTP/2.

use super::http1::ProxiedRequests;
use super::origin::Target;
use super::replay::{AttemptBody, RequestBody};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use taskcluster_proxy_core::credentials::Signer;

/// A request to an upstream, as often as it has to be sent.
#[derive(Debug)]
pub struct OutboundRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where to.
    pub target: &'a Target,
    /// The end-to-end header fields, but those that say where to and from whom.
    pub headers: &'a HeaderMap,
    /// Whether the client can make use of trailers.
    pub accepts_trailers: bool,
    /// Who signs; `None`: the request goes unsigned.
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
            // RFC 9110 section 10.1.4: named, so that nobody forwards it unread.
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
        // Also where hyper would add none: to an empty body that came in chunks.
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

/// Path and query alone, as they go over the wire.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}
