//! What can be asked for.

use crate::clock;
use crate::credentials::Snapshot;
use crate::http1::Fields;
use crate::log;
use crate::metrics::{self, Gauges, Metrics};
use crate::server::Drain;
use crate::service::Service;
use crate::upstream::ReplayBudget;
use crate::version::{REVISION, VERSION};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use taskcluster_proxy_core::Timestamp;
use tokio::sync::watch::Receiver;

/// What is looked at for an answer. There is no secret in it that an answer repeats.
#[derive(Debug)]
pub struct Status {
    /// Where the deployment is.
    root_url: String,
    /// Where the proxy listens.
    addresses: Vec<SocketAddr>,
    /// The credentials.
    in_force: Receiver<Arc<Snapshot>>,
    /// The counters.
    metrics: Arc<Metrics>,
    /// Whether the proxy is to end.
    drain: Arc<Drain>,
    /// How much is kept of request bodies.
    replay: Arc<ReplayBudget>,
    /// When the proxy started.
    started: Timestamp,
}

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

impl Status {
    /// Of a proxy that listens at `addresses`, and starts now.
    pub fn of(service: &Service, addresses: Vec<SocketAddr>) -> Self {
        Self {
            root_url: service.root_url.to_string(),
            addresses,
            in_force: service.store.watch(),
            metrics: Arc::clone(&service.metrics),
            drain: Arc::clone(&service.drain),
            replay: Arc::clone(&service.replay),
            started: clock::now(),
        }
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused =
                page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "expected GET\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.obstacle() {
                None => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
                Some(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
            },
            "/metrics" => page(StatusCode::OK, METRICS, self.metrics()),
            "/status" => page(StatusCode::OK, JSON, format!("{:#}\n", self.status())),
            _ => {
                let known = "expected /healthz, /readyz, /metrics or /status\n";
                page(StatusCode::NOT_FOUND, TEXT, known.to_owned())
            }
        }
    }

    /// Why requests should go elsewhere. It listens: there is no answer before it does.
    fn obstacle(&self) -> Option<String> {
        if self.drain.has_begun() {
            return Some("draining: the proxy was told to stop".to_owned());
        }
        let expiry = self.in_force.borrow().expiry.filter(|expiry| *expiry <= clock::now())?;
        Some(format!("the credentials expired on {}", log::date(expiry)))
    }

    fn metrics(&self) -> String {
        let (replay_used, replay_limit) = self.replay.usage();
        let gauges = Gauges {
            version: VERSION,
            revision: revision(),
            started: self.started.secs(),
            connections: self.drain.connections(),
            draining: self.drain.has_begun(),
            certificate_expires_in: self.in_force.borrow().expiry.map(seconds_until),
            replay_used,
            replay_limit,
        };
        metrics::write(&self.metrics, &gauges)
    }

    fn status(&self) -> Value {
        let snapshot = Arc::clone(&self.in_force.borrow());
        let (used, limit) = self.replay.usage();
        json!({
            "version": VERSION,
            "revision": revision(),
            "started": log::date(self.started),
            "uptimeSeconds": clock::now().distance(self.started).as_secs(),
            "rootUrl": self.root_url,
            "listening": self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "ready": self.obstacle().is_none(),
            "notReadyBecause": self.obstacle(),
            "draining": self.drain.has_begun(),
            "connections": self.drain.connections(),
            "requestsInFlight": self.metrics.in_flight(),
            "replayBuffer": { "bytes": used, "limit": limit },
            "credentials": {
                "clientId": snapshot.signer.client_id().as_str(),
                "temporary": snapshot.expiry.is_some(),
                "expiry": snapshot.expiry.map(log::date),
                "expiresInSeconds": snapshot.expiry.map(|expiry| seconds_until(expiry) as i64),
                "scopes": scopes(&snapshot.reply_fields, "X-Taskcluster-Proxy-Temp-Scopes"),
                "authorizedScopes": scopes(&snapshot.reply_fields, "X-Taskcluster-Authorized-Scopes"),
            },
        })
    }
}

fn revision() -> &'static str {
    REVISION.unwrap_or("unknown")
}

/// Less than none after it.
fn seconds_until(moment: Timestamp) -> f64 {
    let now = clock::now();
    let seconds = moment.distance(now).as_secs_f64();
    if moment < now { -seconds } else { seconds }
}

/// As each answer to a task tells them, too.
fn scopes(fields: &Fields, name: &str) -> Option<Value> {
    serde_json::from_slice(fields.get(name)?).ok()
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
