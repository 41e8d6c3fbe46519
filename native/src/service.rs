//! One request: find out what it is for, do that, answer.

use crate::clock;
use crate::credentials::{Lease, Store};
use crate::reply::{self, ReplyBody, Source};
use crate::upstream::{Exchanged, Outgoing, Replay, ReplayBudget, Upstream};
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::hawk::{HttpUrl, UrlError};
use taskcluster_proxy_core::proxy::{
    ProxyError, ReplyHeaders, RootUrl, Route, Target, has_transfer_coding, route, strip_hop_by_hop,
};
use zeroize::Zeroizing;

/// The largest body of `POST /bewit`, in bytes.
const MAX_BEWIT_BODY: usize = 64 * 1024;
/// The largest body of `PUT /credentials`, in bytes.
const MAX_CREDENTIALS_BODY: usize = 1024 * 1024;
/// How long a signed URL is valid.
const BEWIT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What requests are answered with.
#[derive(Debug)]
pub struct Service {
    /// Where services are.
    pub root_url: RootUrl,
    /// The credentials in force.
    pub store: Arc<Store>,
    /// How requests go on.
    pub upstream: Upstream,
    /// How much of their bodies is kept.
    pub replay: Arc<ReplayBudget>,
}

impl Service {
    /// Answers a request. There is always an answer: errors become one here and nowhere else.
    pub async fn call(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let start = Instant::now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (answered, lease) = match self.route(&request) {
            // An update waits for all leases: it must not hold one itself.
            Ok(Route::Credentials) => {
                let answered = self.update_credentials(request).await;
                (answered, self.store.lease().await)
            }
            Ok(Route::Bewit) => {
                let lease = self.store.lease().await;
                (bewit(request, &lease).await, lease)
            }
            Ok(Route::Upstream(target)) => {
                let lease = self.store.lease().await;
                (self.forward(request, target, &lease).await, lease)
            }
            Err(error) => (Err(error), self.store.lease().await),
        };
        let (mut reply, note) =
            answered.unwrap_or_else(|error| (reply::error(&error), Note::Text(error.to_string())));
        lease.reply_headers.apply(reply.headers_mut());
        // The query may hold a signature: the path alone tells what was asked for.
        let (path, status, elapsed) = (uri.path(), reply.status().as_u16(), start.elapsed());
        tracing::info!("{method} {path} {status} {elapsed:.1?} {note}");
        reply.map(|body| ReplyBody::new(body, lease))
    }

    fn route(&self, request: &Request<Incoming>) -> Result<Route, ProxyError> {
        if request.method() == Method::CONNECT {
            return Err(ProxyError::Connect);
        }
        if has_transfer_coding(request.headers()) {
            return Err(ProxyError::TransferCoding);
        }
        Ok(route(request.uri(), &self.root_url)?)
    }

    async fn update_credentials(&self, request: Request<Incoming>) -> Result<Answered, ProxyError> {
        expect_method(&request, Method::PUT, "/credentials", "PUT")?;
        let credentials = Credentials::from_json(&read(request, MAX_CREDENTIALS_BODY).await?)?;
        let client_id = credentials.client_id.clone();
        let store = Arc::clone(&self.store);
        // What was taken in whole is put in force, even if whoever sent it does not wait for that.
        let left = tokio::spawn(async move { store.replace(credentials).await })
            .await
            .map_err(|_| ProxyError::Internal)?;
        let note = match left {
            0 => format!("client {client_id}"),
            _ => format!("client {client_id}; {left} requests go on with the previous credentials"),
        };
        Ok((reply::empty(StatusCode::OK), Note::Text(note)))
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        target: Target,
        lease: &Lease,
    ) -> Result<Answered, ProxyError> {
        let (mut parts, body) = request.into_parts();
        strip_hop_by_hop(&mut parts.headers);
        let outgoing = Outgoing {
            method: &parts.method,
            target: &target,
            headers: parts.headers,
            body: Replay::new(body, &self.replay),
            signer: Some(&lease.signer),
        };
        let exchanged = self.upstream.exchange(&outgoing).await;
        let Exchanged { answer: mut reply, attempts, body_unread } =
            exchanged.map_err(|error| error.into_proxy_error(Origin(&target.uri).to_string()))?;
        strip_hop_by_hop(reply.headers_mut());
        if body_unread {
            // RFC 9110 section 10.1.1: the client cannot know otherwise.
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ReplyHeaders::endpoint(&target.uri, reply.headers_mut());
        Ok((reply.map(Source::Upstream), Note::Upstream { uri: target.uri, attempts }))
    }
}

async fn bewit(request: Request<Incoming>, lease: &Lease) -> Result<Answered, ProxyError> {
    expect_method(&request, Method::POST, "/bewit", "POST")?;
    let body = read(request, MAX_BEWIT_BODY).await?;
    let text =
        std::str::from_utf8(&body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = HttpUrl::parse(text)?;
    let signed = lease.signer.bewit(&url, clock::now().plus(BEWIT_LIFETIME))?;
    Ok((reply::see_other(signed), Note::Text(url.host().to_owned())))
}

/// An answer, and what the log says of it.
type Answered = (Response<Source>, Note);

/// What the log says of an answer, put into words only if it is logged.
enum Note {
    Text(String),
    Upstream { uri: Uri, attempts: u32 },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Upstream { uri, attempts: 1 } => Origin(uri).fmt(f),
            Self::Upstream { uri, attempts } => {
                write!(f, "{} after {attempts} attempts", Origin(uri))
            }
        }
    }
}

fn expect_method(
    request: &Request<Incoming>,
    expected: Method,
    endpoint: &'static str,
    allow: &'static str,
) -> Result<(), ProxyError> {
    if request.method() == expected {
        return Ok(());
    }
    let method = request.method().to_string();
    Err(ProxyError::Method { endpoint, allow, method })
}

/// The whole body, if it is no longer than `limit`. Wiped when dropped: it may be credentials.
async fn read(request: Request<Incoming>, limit: usize) -> Result<Zeroizing<Vec<u8>>, ProxyError> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(Zeroizing::new(body.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => Err(ProxyError::TooLarge { limit }),
        Err(error) => Err(ProxyError::Body(error.to_string())),
    }
}

/// Scheme, host and port: enough to tell who is meant, and no secret in it.
struct Origin<'a>(&'a Uri);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map(|authority| authority.as_str()).unwrap_or_default();
        write!(f, "{scheme}://{authority}")
    }
}
