//! One request: find out what it is for, do that, answer.

use crate::clock;
use crate::credentials::{Lease, Store};
use crate::reply::{self, ReplyBody, Source};
use crate::server::{CredentialsGuard, Peer};
use crate::upstream::{
    Exchanged, Outgoing, Replay, ReplayBudget, Taken, Upstream, expects_continue,
};
use http::header::{CONNECTION, HeaderValue, TE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::hawk::{HttpUrl, UrlError};
use taskcluster_proxy_core::proxy::{
    Form, HostPolicy, ProxyError, ReplyHeaders, RootUrl, Route, Target, accepts_trailers,
    has_transfer_coding, reject_browsers, route, strip_hop_by_hop,
};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The largest body of `POST /bewit`, in bytes.
const MAX_BEWIT_BODY: usize = 64 * 1024;
/// The largest body of `PUT /credentials`, in bytes.
const MAX_CREDENTIALS_BODY: usize = 1024 * 1024;
/// The largest body that is read although nobody wants it, in bytes.
const MAX_DISCARDED: usize = 64 * 1024;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a signed URL is valid.
const BEWIT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What requests are answered with.
#[derive(Debug)]
pub struct Service {
    /// Where services are.
    pub root_url: RootUrl,
    /// The credentials in force.
    pub store: Arc<Store>,
    /// Who may change them.
    pub credentials_guard: CredentialsGuard,
    /// Whether requests of web pages are refused.
    pub reject_browsers: bool,
    /// Where they may go.
    pub hosts: Arc<HostPolicy>,
    /// How requests go on.
    pub upstream: Upstream,
    /// How much of their bodies is kept.
    pub replay: Arc<ReplayBudget>,
}

impl Service {
    /// Answers a request of `peer`. There is always an answer: errors become one here and nowhere else.
    pub async fn call(&self, request: Request<Incoming>, peer: &Peer) -> Response<ReplyBody> {
        let start = Instant::now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (answered, lease) = match self.route(&request, peer) {
            // An update waits for all leases: it must not hold one itself.
            Ok(Route::Credentials) => {
                let answered = self.update_credentials(request, peer).await;
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
            Err(error) => {
                let taken = discard(request).await;
                (Err(Failure { error, taken }), self.store.lease().await)
            }
        };
        let (mut reply, note) = answered.unwrap_or_else(|Failure { error, taken }| {
            let mut reply = reply::error(&error);
            announce_close_unless(taken, &mut reply);
            (reply, Note::Text(error.to_string()))
        });
        lease.reply_headers.apply(reply.headers_mut());
        // The query may hold a signature: the path alone tells what was asked for.
        let (path, status, elapsed) = (uri.path(), reply.status().as_u16(), start.elapsed());
        tracing::info!("{method} {path} {status} {elapsed:.1?} {note}");
        reply.map(|body| ReplyBody::new(body, lease))
    }

    fn route(&self, request: &Request<Incoming>, peer: &Peer) -> Result<Route, ProxyError> {
        if self.reject_browsers {
            let authority = request.uri().authority().map(|authority| authority.as_str());
            reject_browsers(authority, peer.bound(), |name| {
                request.headers().get_all(name).into_iter().map(HeaderValue::as_bytes)
            })?;
        }
        if request.method() == Method::CONNECT {
            return Err(ProxyError::Connect);
        }
        if has_transfer_coding(request.headers()) {
            return Err(ProxyError::TransferCoding);
        }
        let route = route(request.uri(), &self.root_url)?;
        if let Route::Upstream(Target { uri, form: Form::Host }) = &route {
            self.hosts.admits_name(uri.host().unwrap_or_default())?;
        }
        Ok(route)
    }

    async fn update_credentials(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Result<Answered, Failure> {
        let request = expect_method(request, "PUT", "/credentials").await?;
        if let Err(error) = self.credentials_guard.admit(peer).await {
            return Err(Failure { error, taken: discard(request).await });
        }
        let credentials = Credentials::from_json(&read(request, MAX_CREDENTIALS_BODY).await?)
            .map_err(ProxyError::from)?;
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
    ) -> Result<Answered, Failure> {
        let (mut parts, body) = request.into_parts();
        let accepts_trailers = accepts_trailers(&parts.headers);
        strip_hop_by_hop(&mut parts.headers);
        if accepts_trailers {
            parts.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let outgoing = Outgoing {
            method: &parts.method,
            target: &target,
            headers: parts.headers,
            body: Replay::new(body, &self.replay),
            signer: Some(&lease.signer),
        };
        let exchanged = self.upstream.exchange(&outgoing).await;
        let Exchanged { answer: mut reply, attempts, taken } =
            exchanged.map_err(|error| Failure {
                error: error.into_proxy_error(Origin(&target.uri).to_string()),
                taken: outgoing.body.finish(),
            })?;
        strip_hop_by_hop(reply.headers_mut());
        announce_close_unless(taken, &mut reply);
        ReplyHeaders::endpoint(&target.uri, reply.headers_mut());
        Ok((reply.map(Source::Upstream), Note::Upstream { uri: target.uri, attempts }))
    }
}

async fn bewit(request: Request<Incoming>, lease: &Lease) -> Result<Answered, Failure> {
    let request = expect_method(request, "POST", "/bewit").await?;
    let body = read(request, MAX_BEWIT_BODY).await?;
    Ok(bewit_of(&body, lease)?)
}

fn bewit_of(body: &[u8], lease: &Lease) -> Result<Answered, ProxyError> {
    let text =
        std::str::from_utf8(body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = HttpUrl::parse(text)?;
    let signed = lease.signer.bewit(&url, clock::now().plus(BEWIT_LIFETIME))?;
    Ok((reply::see_other(signed), Note::Text(url.host().to_owned())))
}

/// An answer, and what the log says of it.
type Answered = (Response<Source>, Note);

/// Why there is no answer, and how much of the request's body was taken until then.
struct Failure {
    error: ProxyError,
    taken: Taken,
}

/// Found when all of the request was there.
impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self { error, taken: Taken::All }
    }
}

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

async fn expect_method(
    request: Request<Incoming>,
    allow: &'static str,
    endpoint: &'static str,
) -> Result<Request<Incoming>, Failure> {
    if request.method() == allow {
        return Ok(request);
    }
    let method = request.method().to_string();
    let taken = discard(request).await;
    Err(Failure { error: ProxyError::Method { endpoint, allow, method }, taken })
}

/// The whole body, if it is no longer than `limit`. Wiped when dropped: it may be credentials.
async fn read(request: Request<Incoming>, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let error = match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => return Ok(Zeroizing::new(body.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => ProxyError::TooLarge { limit },
        Err(error) => ProxyError::Body(error.to_string()),
    };
    Err(Failure { error, taken: Taken::Part })
}

/// Takes a body that nobody wants, if it is small and comes soon: then the client can go on using
/// its connection.
async fn discard(request: Request<Incoming>) -> Taken {
    if request.body().is_end_stream() {
        return Taken::All;
    }
    if expects_continue(request.headers()) {
        return Taken::Nothing;
    }
    if request.body().size_hint().lower() > MAX_DISCARDED as u64 {
        return Taken::Part;
    }
    let rest = Limited::new(request.into_body(), MAX_DISCARDED).collect();
    match timeout(DISCARD_TIMEOUT, rest).await {
        Ok(Ok(_)) => Taken::All,
        Ok(Err(_)) | Err(_) => Taken::Part,
    }
}

/// The client's connection ends with an answer that does not wait for the rest of the request. A
/// client that is not told so sends its next request there, and loses it (RFC 9112 section 9.6; for
/// one that waits to be told to continue, RFC 9110 section 10.1.1).
fn announce_close_unless<B>(taken: Taken, reply: &mut Response<B>) {
    if taken != Taken::All {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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
