//! One request: find out what it is for, do that, answer.

use crate::clock;
use crate::credentials::{Lease, Store};
use crate::reply::{self, OwnReply, ReplyBody};
use crate::upstream::{Outgoing, Replay, ReplayBudget, Upstream};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::hawk::{HttpUrl, UrlError};
use taskcluster_proxy_core::proxy::{ProxyError, RootUrl, Route, Target, route, strip_hop_by_hop};
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
        let method = request.method().clone();
        let resource = request.uri().clone();
        let (reply, detail) = match self.dispatch(request).await {
            Ok(answered) => answered,
            Err(error) => {
                let detail = error.to_string();
                (self.own(reply::error(&error)).await, detail)
            }
        };
        let elapsed = start.elapsed();
        // The query may hold a signature: the path alone tells what was asked for.
        tracing::info!(
            "{method} {} {} {elapsed:.1?} {detail}",
            resource.path(),
            reply.status().as_u16()
        );
        reply
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answered, ProxyError> {
        if request.method() == Method::CONNECT {
            return Err(ProxyError::Connect);
        }
        match route(request.uri(), &self.root_url)? {
            Route::Bewit => self.bewit(request).await,
            Route::Credentials => self.update_credentials(request).await,
            Route::Upstream(target) => self.forward(request, &target).await,
        }
    }

    async fn bewit(&self, request: Request<Incoming>) -> Result<Answered, ProxyError> {
        expect_method(&request, Method::POST, "/bewit", "POST")?;
        let lease = self.store.lease().await;
        let body = read(request, MAX_BEWIT_BODY).await?;
        let text =
            std::str::from_utf8(&body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
        let url = HttpUrl::parse(text)?;
        let signed = lease.signer.bewit(&url, clock::now().plus(BEWIT_LIFETIME))?;
        Ok((with_headers(reply::see_other(signed), lease), url.host().to_owned()))
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
        let detail = match left {
            0 => format!("client {client_id}"),
            _ => format!("client {client_id}; {left} requests go on with the previous credentials"),
        };
        Ok((self.own(reply::empty(StatusCode::OK)).await, detail))
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        target: &Target,
    ) -> Result<Answered, ProxyError> {
        let lease = self.store.lease().await;
        let (mut parts, body) = request.into_parts();
        strip_hop_by_hop(&mut parts.headers);
        let outgoing = Outgoing {
            method: &parts.method,
            target,
            headers: parts.headers,
            body: Replay::new(body, &self.replay),
            signer: Some(&lease.signer),
        };
        let exchanged = self.upstream.exchange(&outgoing).await;
        drop(outgoing);
        let (reply, attempts) = match exchanged {
            Ok(exchanged) => exchanged,
            Err(error) => return Err(error.into_proxy_error(origin(&target.uri))),
        };
        let (mut parts, body) = reply.into_parts();
        strip_hop_by_hop(&mut parts.headers);
        lease.reply_headers.apply_proxied(&target.uri, &mut parts.headers);
        let detail = match attempts {
            1 => origin(&target.uri),
            _ => format!("{} after {attempts} attempts", origin(&target.uri)),
        };
        Ok((Response::from_parts(parts, ReplyBody::upstream(body, lease)), detail))
    }

    async fn own(&self, reply: OwnReply) -> Response<ReplyBody> {
        with_headers(reply, self.store.lease().await)
    }
}

/// An answer, and what the log says of it.
type Answered = (Response<ReplyBody>, String);

fn with_headers(mut reply: OwnReply, lease: Lease) -> Response<ReplyBody> {
    lease.reply_headers.apply(reply.headers_mut());
    reply.map(|body| ReplyBody::own(body, lease))
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

/// Scheme, host and port: enough to tell who did not answer, and no secret in it.
fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    format!("{scheme}://{authority}")
}
