//! The request handler: rejects malformed and disallowed requests, and routes the others.

use super::access_log::AccessLog;
use super::own_body::discard;
use super::response::OwnResponse;
use super::{Client, Handler, Proxy, ResponseBody};
use crate::credentials::Lease;
use crate::os::peer::Peer;
use crate::outbound::{Origin, RequestBody, Target};
use crate::telemetry::metrics;
use http::header::{EXPECT, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::proxy::{
    Destination, Form, ProxyError, RouteError, is_chunked_at_most, parse_host_field,
    reject_browsers,
};
use tracing::Instrument as _;
use url::Host;

/// The route of a request.
enum Route {
    Bewit,
    Credentials,
    Forward(Target),
}

/// An error with which the proxy itself responds, and whether the client's connection is closed after the
/// response.
pub(super) struct Rejection {
    pub(super) error: ProxyError,
    pub(super) close: bool,
}

impl Handler for Proxy {
    async fn handle(&self, request: Request<Incoming>, client: &Client) -> Response<ResponseBody> {
        let log = Rc::new(AccessLog::begin(self, request.method(), request.uri()));
        let span = log.span();
        self.handle_logged(request, client, log).instrument(span).await
    }

    async fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> Response<ResponseBody> {
        let log = Rc::new(AccessLog::begin(self, method, uri));
        self.reject_with(Rejection { error, close: true }, &log).await
    }
}

impl Proxy {
    async fn handle_logged(
        &self,
        request: Request<Incoming>,
        client: &Client,
        log: Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        let (head, incoming) = request.into_parts();
        let body =
            RequestBody::new(incoming, expects_continue(&head), &self.replay, &client.connection);
        // Cannot fail: the log is new.
        let _ = log.body.set(body.clone());
        let route = match check_message(&head) {
            // The end of the body is uncertain, so none of it is read.
            Err(error) => Err(Rejection { error, close: true }),
            Ok(()) => match self.route(&head, &client.peer) {
                Err(error) => {
                    // The bytes after a CONNECT are not HTTP.
                    let close = head.method == Method::CONNECT || !discard(&body).await;
                    Err(Rejection { error, close })
                }
                Ok(route) => Ok(route),
            },
        };
        match route {
            Ok(Route::Forward(target)) => {
                log.service.set(match target.form {
                    Form::Host => metrics::Service::Host,
                    Form::Service => {
                        let prefix = self.root_url.prefix().len();
                        metrics::Service::of(target.resource().get(prefix..).unwrap_or_default())
                    }
                });
                self.forward(head, &body, &target, &log).await
            }
            Ok(Route::Bewit) => {
                log.service.set(metrics::Service::Bewit);
                Box::pin(self.bewit(&head, &body, &log)).await
            }
            Ok(Route::Credentials) => {
                log.service.set(metrics::Service::Credentials);
                Box::pin(self.put_credentials(&head, &body, &client.peer, &log)).await
            }
            Err(rejection) => self.reject_with(rejection, &log).await,
        }
    }

    fn route(&self, head: &Parts, peer: &Peer) -> Result<Route, ProxyError> {
        if self.policy.reject_browsers {
            reject_browsers(head.uri.authority(), peer.bound(), &head.headers)?;
        }
        match head.method {
            Method::CONNECT => return Err(ProxyError::UnsupportedMethod("CONNECT")),
            // A response to TRACE would show the task the proxy's signature.
            Method::TRACE => return Err(ProxyError::UnsupportedMethod("TRACE")),
            _ => {}
        }
        let resource = head.uri.path_and_query();
        Ok(match Destination::of(resource.map_or("*", PathAndQuery::as_str))? {
            Destination::Bewit => Route::Bewit,
            Destination::Credentials => Route::Credentials,
            Destination::Service { api, resource: path } => {
                let prefix = self.root_url.prefix();
                let path_and_query = match resource {
                    Some(same) if prefix.is_empty() && api.is_empty() => same.clone(),
                    _ => path_and_query([prefix, api, path].concat())?,
                };
                let origin = Arc::clone(&self.origin);
                Route::Forward(Target::new(origin, path_and_query, Form::Service))
            }
            Destination::Host { host, resource } => {
                // `a.256` has the form of a name, and no client reads it as one.
                let Ok(host) = Host::parse(&host) else {
                    return Err(RouteError::Segment(host.into_owned()).into());
                };
                self.policy.hosts.allows_host(&host)?;
                let origin = Origin::of_host(host)
                    .map_err(|error| ProxyError::Malformed(error.to_string()))?;
                let path_and_query = path_and_query(resource.into_owned())?;
                Route::Forward(Target::new(Arc::new(origin), path_and_query, Form::Host))
            }
        })
    }

    /// Rejects a request. The response names the current credentials.
    pub(super) async fn reject_with(
        &self,
        rejection: Rejection,
        log: &Rc<AccessLog>,
    ) -> Response<ResponseBody> {
        respond_with(Err(rejection), self.store.lease().await, log)
    }
}

/// Responds to a request that is not forwarded. The text in `result` becomes the note in the access log.
pub(super) fn respond_with(
    result: Result<(OwnResponse, String), Rejection>,
    lease: Lease,
    log: &Rc<AccessLog>,
) -> Response<ResponseBody> {
    let (response, note, close) = match result {
        Ok((response, note)) => (response, note, false),
        Err(Rejection { error, close }) => (OwnResponse::error(&error), error.to_string(), close),
    };
    log.note.replace(Some(note));
    response.respond(lease, log, close)
}

/// The connection stays open after such an error.
impl From<ProxyError> for Rejection {
    fn from(error: ProxyError) -> Self {
        Self { error, close: false }
    }
}

fn path_and_query(text: String) -> Result<PathAndQuery, ProxyError> {
    PathAndQuery::try_from(text).map_err(|error| ProxyError::Malformed(error.to_string()))
}

/// Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1).
fn expects_continue(head: &Parts) -> bool {
    let expected = head.headers.get(EXPECT).map(http::HeaderValue::as_bytes);
    head.version == Version::HTTP_11
        && expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// Checks requirements of RFC 9112 that hyper does not check.
fn check_message(head: &Parts) -> Result<(), ProxyError> {
    check_host(head)?;
    // If there is a Content-Length as well, hyper removes it and closes the connection afterwards.
    if is_chunked_at_most(&head.headers) { Ok(()) } else { Err(ProxyError::TransferCoding) }
}

/// RFC 9112 section 3.2: an HTTP/1.1 request must have exactly one `Host`; in any version a second or an
/// invalid one is an error.
fn check_host(head: &Parts) -> Result<(), ProxyError> {
    let malformed = |found: &str| {
        Err(ProxyError::Malformed(format!(
            "expected one Host header field, host[:port], found {found}"
        )))
    };
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::HTTP_11 => malformed("none"),
        (None, _) => Ok(()),
        (Some(_), Some(_)) => malformed("more than one"),
        (Some(host), None) if host.is_empty() => Ok(()),
        (Some(host), None) if parse_host_field(host.as_bytes()).is_some() => Ok(()),
        (Some(_), None) => malformed("something else"),
    }
}
