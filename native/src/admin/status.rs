//! What can be asked for.

use crate::cli::printable;
use crate::clock;
use crate::credentials::{Snapshot, Store};
use crate::inbound::Drain;
use crate::outbound::ReplayBudget;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, Gauges, Metrics};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::proxy::RootUrl;
use tokio::sync::watch::Receiver;

/// What is looked at for an answer. There is no secret in it that an answer repeats.
#[derive(Debug)]
pub struct Status {
    /// Where the deployment is.
    root_url: String,
    /// The task whose scopes are fetched at the start.
    task_id: Option<String>,
    /// `None` during the start.
    serving: OnceLock<Serving>,
    /// The counters.
    metrics: Arc<Metrics>,
    /// Whether the proxy is to end.
    drain: Arc<Drain>,
    /// How much is kept of request bodies.
    replay: Arc<ReplayBudget>,
    /// When the proxy started.
    started: Timestamp,
}

/// What is known once the proxy listens.
#[derive(Debug)]
struct Serving {
    /// Where it does.
    addresses: Vec<SocketAddr>,
    /// The credentials.
    in_force: Receiver<Arc<Snapshot>>,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Status {
    /// Of a proxy that starts now, and does not listen yet.
    pub fn starting(
        root_url: &RootUrl,
        task_id: Option<&str>,
        metrics: &Arc<Metrics>,
        drain: &Arc<Drain>,
        replay: &Arc<ReplayBudget>,
    ) -> Self {
        Self {
            root_url: root_url.to_string(),
            task_id: task_id.map(printable),
            serving: OnceLock::new(),
            metrics: Arc::clone(metrics),
            drain: Arc::clone(drain),
            replay: Arc::clone(replay),
            started: clock::now(),
        }
    }

    /// From now on it listens, at `addresses`, with the credentials of `store`. To be called once.
    pub fn serves(&self, addresses: Vec<SocketAddr>, store: &Store) {
        self.serving.get_or_init(|| Serving { addresses, in_force: store.watch() });
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
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics()),
            "/status" => page(StatusCode::OK, JSON, format!("{:#}\n", self.status())),
            _ => {
                let known = "expected /healthz, /readyz, /metrics or /status\n";
                page(StatusCode::NOT_FOUND, TEXT, known.to_owned())
            }
        }
    }

    /// Why requests should go elsewhere.
    fn obstacle(&self) -> Option<String> {
        if self.drain.has_begun() {
            return Some("draining: the proxy was told to stop".to_owned());
        }
        let Some(serving) = self.serving.get() else {
            return Some(match &self.task_id {
                Some(id) => format!("starting: the task's scopes are being fetched (task {id})"),
                None => "starting: the proxy does not listen yet".to_owned(),
            });
        };
        let in_force = serving.in_force.borrow();
        if let Err(error) = in_force.signer() {
            return Some(error.to_string());
        }
        let expiry = in_force.expiry.filter(|expiry| *expiry <= clock::now())?;
        Some(format!("the credentials expired on {}", log::date(expiry)))
    }

    fn in_force(&self) -> Option<Arc<Snapshot>> {
        self.serving.get().map(|serving| Arc::clone(&serving.in_force.borrow()))
    }

    fn metrics(&self) -> String {
        let (replay_used, replay_limit) = self.replay.usage();
        let gauges = Gauges {
            version: VERSION,
            revision: revision(),
            started: self.started.secs(),
            connections: self.drain.connections(),
            draining: self.drain.has_begun(),
            certificate_expires_in: self
                .in_force()
                .and_then(|snapshot| snapshot.expiry)
                .map(seconds_until),
            replay_used,
            replay_limit,
            dropped_log_lines: log::dropped_lines(),
        };
        metrics::encode(&self.metrics, &gauges)
    }

    fn status(&self) -> Value {
        let addresses = self.serving.get().map(|serving| &serving.addresses);
        let addresses = addresses.into_iter().flatten().map(SocketAddr::to_string);
        let (used, limit) = self.replay.usage();
        json!({
            "version": VERSION,
            "revision": revision(),
            "started": log::date(self.started),
            "uptimeSeconds": clock::now().distance(self.started).as_secs(),
            "rootUrl": self.root_url,
            "listening": addresses.collect::<Vec<_>>(),
            "ready": self.obstacle().is_none(),
            "notReadyBecause": self.obstacle(),
            "draining": self.drain.has_begun(),
            "connections": self.drain.connections(),
            "requestsInFlight": self.metrics.in_flight(),
            "replayBuffer": { "bytes": used, "limit": limit },
            "credentials": self.in_force().as_deref().map(credentials),
        })
    }
}

fn credentials(in_force: &Snapshot) -> Value {
    let findings = in_force.terms.findings(clock::now());
    json!({
        "clientId": in_force.client_id.as_str(),
        "temporary": in_force.temporary,
        "findings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "expiry": in_force.expiry.map(log::date),
        "expiresInSeconds": in_force.expiry.map(|expiry| seconds_until(expiry) as i64),
        "scopes": scopes(in_force.scopes.as_deref()),
        "authorizedScopes": scopes(in_force.authorized_scopes.as_deref()),
    })
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

fn scopes(json: Option<&str>) -> Option<Value> {
    json.and_then(|json| serde_json::from_str(json).ok())
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
