//! One request: find out what it is for, do that, answer.

use crate::access::Entry;
use crate::clock::Nonces;
use crate::credentials::{Lease, Store};
use crate::diagnosis::diagnose;
use crate::http1::{BodyError, Buffer, FramingError, HeadError, MAX_FIELDS, Request, Wire};
use crate::metrics::{self, Metrics, Outcome, Source, Update};
use crate::own_body::{
    Failure, MAX_BEWIT_BODY, MAX_CREDENTIALS_BODY, discard, expect_method, read,
};
use crate::reply::{Head, Reader, Reply};
use crate::server::{CredentialsGuard, Drain, Peer};
use crate::upstream::{
    Body, Caller, DeliveryError, Origin, Outgoing, ReplayBudget, SendError, Taken, Target, Upstream,
};
use http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::hawk::{HttpUrl, UrlError};
use taskcluster_proxy_core::proxy::{
    Destination, Form, HostPolicy, ProxyError, ReplyHeaders, RootUrl, authority_of_target,
    reject_browsers,
};
use zeroize::Zeroizing;

/// How long a signed URL is valid.
const BEWIT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What requests are answered with.
#[derive(Debug)]
pub struct Service {
    /// Where services are.
    pub root_url: RootUrl,
    /// The root URL's.
    pub origin: Arc<Origin>,
    /// The credentials in force.
    pub store: Arc<Store>,
    /// What is refused.
    pub gates: Gates,
    /// How requests go on.
    pub upstream: Upstream,
    /// How much of their bodies is kept.
    pub replay: Arc<ReplayBudget>,
    /// Once it has begun, an answer is the last one of its connection.
    pub drain: Arc<Drain>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// What they are named by in the log and in their answers.
    pub ids: Nonces,
}

/// What is refused, of whom.
#[derive(Debug)]
pub struct Gates {
    /// Who may change the credentials.
    pub credentials: CredentialsGuard,
    /// Where requests may go.
    pub hosts: Arc<HostPolicy>,
    /// Whether requests of web pages are refused.
    pub reject_browsers: bool,
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
    /// Answers a request that `client` has sent the head of. There is always an answer, unless nobody
    /// waits for it: errors become one here and nowhere else.
    pub async fn call(&self, client: &mut Wire, request: &Request, peer: &Peer) -> After {
        let before = client.traffic();
        let mut entry = Entry::begin(&self.metrics, self.ids.next(), Some(request));
        let after = self.dispatch(client, request, peer, &mut entry).await;
        entry.traffic = client.traffic().since(before);
        after
    }

    async fn dispatch(
        &self,
        client: &mut Wire,
        request: &Request,
        peer: &Peer,
        entry: &mut Entry<'_>,
    ) -> After {
        let answered = match self.route(request, peer) {
            Ok(Route::Upstream(target)) => {
                entry.service = match target.form {
                    Form::Host => metrics::Service::Host,
                    Form::Service => {
                        let prefix = self.root_url.prefix().len();
                        metrics::Service::of(target.resource.get(prefix..).unwrap_or_default())
                    }
                };
                let lease = self.store.lease().await;
                return self.forward(client, request, &target, lease, entry).await;
            }
            Ok(Route::Bewit) => {
                entry.service = metrics::Service::Bewit;
                let body = Box::pin(bewit_body(client, request)).await;
                // Not before: a client that is slow to send it must not keep an update waiting.
                let lease = self.store.lease().await;
                let now = self.upstream.now(Form::Service);
                let answered = body.and_then(|body| Ok(bewit_of(&body, &lease, now)?));
                return self.answer(client, request, answered, lease, entry).await;
            }
            // An update waits for all leases: it must not hold one itself.
            Ok(Route::Credentials) => {
                entry.service = metrics::Service::Credentials;
                Box::pin(self.update_credentials(client, request, peer)).await
            }
            Err(error) => Err(Failure { error, taken: Box::pin(discard(client, request)).await }),
        };
        let lease = self.store.lease().await;
        self.answer(client, request, answered, lease, entry).await
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
        self.dismiss(client, &error, false).await;
    }

    /// Tells a client that `most` others are served and there is no room for it.
    pub async fn turn_away(&self, client: &mut Wire, most: usize) {
        let reason = format!("{most} connections are open (--max-connections)");
        self.dismiss(client, &ProxyError::Busy(reason), false).await;
    }

    /// Answers a request whose handling has failed, as far as the client does not know anything of it.
    pub async fn apologise(&self, client: &mut Wire, request: &Request) {
        self.dismiss(client, &ProxyError::Internal, request.method == Method::HEAD).await;
    }

    async fn dismiss(&self, client: &mut Wire, error: &ProxyError, bodiless: bool) {
        let before = client.traffic();
        let mut entry = Entry::begin(&self.metrics, self.ids.next(), None);
        let lease = self.store.lease().await;
        let reader = Reader { request_id: entry.id(), http10: false, keep_alive: false };
        let reply = Reply::error(error);
        (entry.status, entry.note) = (reply.status.as_u16(), Some(error.to_string()));
        entry.outcome = match reply.send(client, &lease, reader, bodiless).await {
            Ok(_) => Outcome::Complete,
            Err(_) => Outcome::Gone,
        };
        entry.traffic = client.traffic().since(before);
    }

    fn route(&self, request: &Request, peer: &Peer) -> Result<Route, ProxyError> {
        if self.gates.reject_browsers {
            reject_browsers(authority_of_target(&request.target), peer.bound(), |name| {
                let fields = request.host.iter().chain(request.fields.iter());
                fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, v)| v)
            })?;
        }
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
            Destination::Host { host, resource } => {
                self.gates.hosts.admits_name(&host)?;
                Route::Upstream(Target {
                    origin: Arc::new(Origin::of_host(&host)),
                    resource: resource.into_owned(),
                    form: Form::Host,
                })
            }
        })
    }

    async fn update_credentials(
        &self,
        client: &mut Wire,
        request: &Request,
        peer: &Peer,
    ) -> Result<(Reply, String), Failure> {
        expect_method(client, request, "PUT", "/credentials").await?;
        if let Err(error) = self.gates.credentials.admit(peer).await {
            return Err(Failure { error, taken: discard(client, request).await });
        }
        let body = read(client, request, MAX_CREDENTIALS_BODY).await?;
        let refused = |error| {
            self.metrics.update(Source::Put, Update::Refused);
            ProxyError::Credentials(error)
        };
        let credentials = Credentials::from_json(&body).map_err(refused)?;
        let client_id = credentials.client_id.clone();
        let store = Arc::clone(&self.store);
        // What was taken in whole is put in force, even if whoever sent it does not wait for that.
        let left = tokio::spawn(async move { store.replace(credentials).await })
            .await
            .map_err(|_| ProxyError::Internal)?;
        self.metrics.update(Source::Put, Update::Taken);
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
        entry: &mut Entry<'_>,
    ) -> After {
        let (reply, note, taken) = match answered {
            Ok((reply, note)) => (reply, note, Taken::All),
            Err(Failure { error, taken }) => (Reply::error(&error), error.to_string(), taken),
        };
        (entry.status, entry.note) = (reply.status.as_u16(), Some(note));
        let reader = self.reader(request, entry, taken);
        let sent = reply.send(client, &lease, reader, request.method == Method::HEAD).await;
        entry.outcome = if sent.is_ok() { Outcome::Complete } else { Outcome::Gone };
        match sent {
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
        entry: &mut Entry<'_>,
    ) -> After {
        let signer = match lease.signer() {
            Ok(signer) => signer,
            Err(error) => {
                let taken = Box::pin(discard(client, request)).await;
                let failure = Failure { error, taken };
                return self.answer(client, request, Err(failure), lease, entry).await;
            }
        };
        entry.upstream = Some(Arc::clone(&target.origin));
        let outgoing = Outgoing {
            method: &request.method,
            target,
            fields: &request.fields,
            expects_continue: request.expects_continue,
            accepts_trailers: request.accepts_trailers,
            signer: Some(signer),
        };
        let mut body = Body::new(request.framing, &self.replay);
        let mut caller = Caller::Client(&mut *client);
        let exchanging =
            self.upstream.exchange(&outgoing, &mut body, &mut caller, &mut entry.attempts);
        let mut exchanged = match exchanging.await {
            Ok(exchanged) => exchanged,
            Err(SendError::Gone) => {
                entry.outcome = Outcome::Gone;
                return After::Abort;
            }
            Err(error) => {
                let error = error.into_proxy_error(target.origin.as_str().to_owned());
                let failure = Failure { error, taken: body.taken() };
                return self.answer(client, request, Err(failure), lease, entry).await;
            }
        };
        if matches!(exchanged.answer.status, 401 | 403)
            && let Some(reason) = Box::pin(diagnose(&mut exchanged, target, &lease.terms)).await
        {
            tracing::warn!("{} refused it: {reason}", target.origin.as_str());
            exchanged.answer.fields.push(ReplyHeaders::DIAGNOSIS, reason.as_bytes());
        }
        let answer = &exchanged.answer;
        entry.answered(answer.status);
        let head = Head {
            status: answer.status,
            reason: &answer.reason,
            fields: &answer.fields,
            framing: answer.framing,
            endpoint: Some(target),
        };
        let keep_alive = head.begin(client, &lease, self.reader(request, entry, exchanged.taken));
        let delivered = self.upstream.deliver(exchanged, client, &mut body).await;
        entry.outcome = match delivered {
            Ok(()) => Outcome::Complete,
            Err(DeliveryError::Gone) => Outcome::Gone,
            Err(DeliveryError::Cut(_)) => Outcome::Cut,
        };
        match delivered {
            Ok(()) if keep_alive => After::Reuse,
            Ok(()) => After::Close,
            Err(error) => {
                entry.note = Some(error.to_string());
                if let (DeliveryError::Cut(_), true) = (error, request.http10) {
                    client.reset_at_end();
                }
                After::Abort
            }
        }
    }

    /// The client's connection ends with an answer that does not wait for the rest of the request.
    fn reader(&self, request: &Request, entry: &Entry<'_>, taken: Taken) -> Reader {
        let keep_alive = request.keep_alive && taken == Taken::All && !self.drain.has_begun();
        Reader { request_id: entry.id(), http10: request.http10, keep_alive }
    }
}

async fn bewit_body(client: &mut Wire, request: &Request) -> Result<Zeroizing<Vec<u8>>, Failure> {
    expect_method(client, request, "POST", "/bewit").await?;
    read(client, request, MAX_BEWIT_BODY).await
}

fn bewit_of(body: &[u8], lease: &Lease, now: Timestamp) -> Result<(Reply, String), ProxyError> {
    let text =
        std::str::from_utf8(body).map_err(|error| UrlError::Encoding(error.valid_up_to()))?;
    let url = HttpUrl::parse(text)?;
    let signed = lease.signer()?.bewit(&url, now.plus(BEWIT_LIFETIME))?;
    Ok((Reply::see_other(signed), url.host().to_owned()))
}
