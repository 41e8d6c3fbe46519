//! One request: find out what it is for, do that, answer.

use crate::clock;
use crate::credentials::{Lease, Store};
use crate::http1::{BodyError, Buffer, FramingError, HeadError, MAX_FIELDS, Request, Wire};
use crate::own_body::{
    Failure, MAX_BEWIT_BODY, MAX_CREDENTIALS_BODY, discard, expect_method, read,
};
use crate::reply::{Head, Reader, Reply};
use crate::upstream::{
    Body, Caller, DeliveryError, Origin, Outgoing, ReplayBudget, SendError, Taken, Target, Upstream,
};
use http::{Method, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::hawk::{HttpUrl, UrlError};
use taskcluster_proxy_core::proxy::{Destination, Form, ProxyError, RootUrl};
use zeroize::Zeroizing;

/// How long a signed URL is valid.
const BEWIT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What requests are answered with.
#[derive(Debug)]
pub struct Service {
    root_url: RootUrl,
    /// The root URL's.
    origin: Arc<Origin>,
    store: Arc<Store>,
    upstream: Upstream,
    replay: Arc<ReplayBudget>,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It takes the next request.
    Reuse,
    /// It ends, but not before the answer has arrived.
    Close,
    /// It ends at once: there is nobody to answer any more, or an answer that must not look complete.
    Abort,
}

/// What a request is for.
enum Route {
    Bewit,
    Credentials,
    Upstream(Target),
}

impl Service {
    /// Services are under `root_url`, credentials in `store`; requests go on by `upstream`, and
    /// `replay` is how much of their bodies is kept.
    pub fn new(
        root_url: RootUrl,
        store: Arc<Store>,
        upstream: Upstream,
        replay: ReplayBudget,
    ) -> Self {
        let origin = Arc::new(Origin::of_root_url(&root_url));
        Self { root_url, origin, store, upstream, replay: Arc::new(replay) }
    }

    /// Answers a request that `client` has sent the head of. There is always an answer, unless nobody
    /// waits for it: errors become one here and nowhere else.
    pub async fn call(&self, client: &mut Wire, request: &Request) -> After {
        let start = Instant::now();
        let answered = match self.route(request) {
            Ok(Route::Upstream(target)) => {
                let lease = self.store.lease().await;
                return self.forward(client, request, &target, lease, start).await;
            }
            Ok(Route::Bewit) => {
                let body = bewit_body(client, request).await;
                // Not before: a client that is slow to send it must not keep an update waiting.
                let lease = self.store.lease().await;
                let answered = body.and_then(|body| Ok(bewit_of(&body, &lease)?));
                return self.answer(client, request, answered, lease, start).await;
            }
            // An update waits for all leases: it must not hold one itself.
            Ok(Route::Credentials) => self.update_credentials(client, request).await,
            Err(error) => Err(Failure { error, taken: discard(client, request).await }),
        };
        let lease = self.store.lease().await;
        self.answer(client, request, answered, lease, start).await
    }

    /// Answers what is no request.
    pub async fn refuse(&self, client: &mut Wire, error: BodyError) {
        let error = match error {
            BodyError::HeadTooLarge | BodyError::Head(HeadError::TooManyFields) => {
                ProxyError::HeadTooLarge { fields: MAX_FIELDS, bytes: Buffer::SIZE }
            }
            BodyError::Head(HeadError::Framing(FramingError::Coding)) => ProxyError::TransferCoding,
            error => ProxyError::Malformed(error.to_string()),
        };
        tracing::info!("refused: {error}");
        self.dismiss(client, &error).await;
    }

    /// Tells a client that `most` others are served and there is no room for it.
    pub async fn turn_away(&self, client: &mut Wire, most: usize) {
        let reason = format!("{most} connections are open (--max-connections)");
        self.dismiss(client, &ProxyError::Busy(reason)).await;
    }

    async fn dismiss(&self, client: &mut Wire, error: &ProxyError) {
        let lease = self.store.lease().await;
        let reader = Reader { http10: false, keep_alive: false };
        // A client that has gone away has no need of it.
        let _ = Reply::error(error).send(client, &lease, reader, false).await;
    }

    /// Answers a request whose handling has failed, as far as the client does not know anything of it.
    pub async fn apologise(&self, client: &mut Wire, request: &Request) {
        let lease = self.store.lease().await;
        let failed = Err(Failure { error: ProxyError::Internal, taken: Taken::Part });
        self.answer(client, request, failed, lease, Instant::now()).await;
    }

    fn route(&self, request: &Request) -> Result<Route, ProxyError> {
        if request.method == Method::CONNECT {
            return Err(ProxyError::Connect);
        }
        Ok(match Destination::of_target(&request.target)? {
            Destination::Bewit => Route::Bewit,
            Destination::Credentials => Route::Credentials,
            Destination::Service { api, resource } => Route::Upstream(Target {
                origin: Arc::clone(&self.origin),
                resource: [self.root_url.prefix(), api, resource].concat(),
                form: Form::Service,
            }),
            Destination::Host { host, resource } => Route::Upstream(Target {
                origin: Arc::new(Origin::of_host(&host)),
                resource: resource.into_owned(),
                form: Form::Host,
            }),
        })
    }

    async fn update_credentials(
        &self,
        client: &mut Wire,
        request: &Request,
    ) -> Result<(Reply, String), Failure> {
        expect_method(client, request, "PUT", "/credentials").await?;
        let body = read(client, request, MAX_CREDENTIALS_BODY).await?;
        let credentials = Credentials::from_json(&body).map_err(ProxyError::from)?;
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
        Ok((Reply::empty(StatusCode::OK), note))
    }

    async fn answer(
        &self,
        client: &mut Wire,
        request: &Request,
        answered: Result<(Reply, String), Failure>,
        lease: Lease,
        start: Instant,
    ) -> After {
        let (reply, note, taken) = match answered {
            Ok((reply, note)) => (reply, note, Taken::All),
            Err(Failure { error, taken }) => (Reply::error(&error), error.to_string(), taken),
        };
        log(request, reply.status.as_u16(), start, note);
        let reader = reader(request, taken);
        match reply.send(client, &lease, reader, request.method == Method::HEAD).await {
            Ok(true) => After::Reuse,
            Ok(false) => After::Close,
            Err(_) => After::Abort,
        }
    }

    async fn forward(
        &self,
        client: &mut Wire,
        request: &Request,
        target: &Target,
        lease: Lease,
        start: Instant,
    ) -> After {
        let outgoing = Outgoing {
            method: &request.method,
            target,
            fields: &request.fields,
            expects_continue: request.expects_continue,
            accepts_trailers: request.accepts_trailers,
            signer: Some(&lease.signer),
        };
        let mut body = Body::new(request.framing, &self.replay);
        let mut caller = Caller::Client(&mut *client);
        let exchanged = match self.upstream.exchange(&outgoing, &mut body, &mut caller).await {
            Ok(exchanged) => exchanged,
            Err(SendError::Gone) => return After::Abort,
            Err(error) => {
                let error = error.into_proxy_error(target.origin.as_str().to_owned());
                let failure = Failure { error, taken: body.taken() };
                return self.answer(client, request, Err(failure), lease, start).await;
            }
        };
        let answer = &exchanged.answer;
        let note = Origins { target, attempts: exchanged.attempts };
        log(request, answer.status, start, note);
        let head = Head {
            status: answer.status,
            reason: &answer.reason,
            fields: &answer.fields,
            framing: answer.framing,
            endpoint: Some(target),
        };
        let keep_alive = head.begin(client, &lease, reader(request, exchanged.taken));
        match self.upstream.deliver(exchanged, client, &mut body).await {
            Ok(()) if keep_alive => After::Reuse,
            Ok(()) => After::Close,
            Err(error) => {
                tracing::debug!("{} {}: {error}", request.method, target.origin.as_str());
                if let (DeliveryError::Cut(_), true) = (error, request.http10) {
                    client.reset_at_end();
                }
                After::Abort
            }
        }
    }
}

async fn bewit_body(client: &mut Wire, request: &Request) -> Result<Zeroizing<Vec<u8>>, Failure> {
    expect_method(client, request, "POST", "/bewit").await?;
    read(client, request, MAX_BEWIT_BODY).await
}

fn bewit_of(body: &[u8], lease: &Lease) -> Result<(Reply, String), ProxyError> {
    let text =
        std::str::from_utf8(body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = HttpUrl::parse(text)?;
    let signed = lease.signer.bewit(&url, clock::now().plus(BEWIT_LIFETIME))?;
    Ok((Reply::see_other(signed), url.host().to_owned()))
}

/// The client's connection ends with an answer that does not wait for the rest of the request.
fn reader(request: &Request, taken: Taken) -> Reader {
    Reader { http10: request.http10, keep_alive: request.keep_alive && taken == Taken::All }
}

/// The query may hold a signature: the path alone tells what was asked for.
fn log(request: &Request, status: u16, start: Instant, note: impl fmt::Display) {
    let Request { method, target, .. } = request;
    let path = target.split_once('?').map_or(target.as_str(), |(path, _query)| path);
    tracing::info!("{method} {path} {status} {:.1?} {note}", start.elapsed());
}

/// Who answered, put into words only if it is logged. Scheme, host and port are enough to tell, and
/// there is no secret in them.
struct Origins<'a> {
    target: &'a Target,
    attempts: u32,
}

impl fmt::Display for Origins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target.origin.as_str())?;
        match self.attempts {
            1 => Ok(()),
            attempts => write!(f, " after {attempts} attempts"),
        }
    }
}
