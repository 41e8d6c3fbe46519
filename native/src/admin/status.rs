//! The pages of the admin listener: `/healthz`, `/readyz`, `/metrics`, `/status`.

use crate::credentials::{Snapshot, Store};
use crate::inbound::Drain;
use crate::os::clock;
use crate::outbound::ReplayBudget;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, Gauges, Metrics};
use crate::telemetry::printable;
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

/// The state that the pages show. No page contains a secret.
#[derive(Debug)]
pub struct Status {
    /// The root URL of the deployment.
    root_url: String,
    /// The task whose scopes are fetched at the start.
    task_id: Option<String>,
    /// Unset until the proxy listens.
    serving: OnceLock<Serving>,
    /// The metrics.
    metrics: Arc<Metrics>,
    /// The drain, and the open connections.
    drain: Arc<Drain>,
    /// The memory for request bodies that are kept for retries.
    replay: Arc<ReplayBudget>,
    /// When the proxy started.
    started: Timestamp,
}

/// The state that is only known once the proxy listens.
#[derive(Debug)]
struct Serving {
    /// The addresses on which it listens.
    addresses: Vec<SocketAddr>,
    /// The current credentials.
    current: Receiver<Arc<Snapshot>>,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Status {
    /// Creates the status of a proxy that is starting and does not listen yet.
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

    /// Records that the proxy now listens on `addresses`, with the credentials in `store`. Must be
    /// called once.
    pub fn serves(&self, addresses: Vec<SocketAddr>, store: &Store) {
        self.serving.get_or_init(|| Serving { addresses, current: store.watch() });
    }

    pub(super) fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response =
                page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "expected GET\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.not_ready_reason() {
                None => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
                Some(reason) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
            },
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics()),
            "/status" => page(StatusCode::OK, JSON, format!("{:#}\n", self.status())),
            _ => {
                let expected = "expected /healthz, /readyz, /metrics or /status\n";
                page(StatusCode::NOT_FOUND, TEXT, expected.to_owned())
            }
        }
    }

    /// The reason why the proxy is not ready for requests; `None` if it is ready.
    fn not_ready_reason(&self) -> Option<String> {
        if self.drain.has_begun() {
            return Some("draining: the proxy is stopping".to_owned());
        }
        let Some(serving) = self.serving.get() else {
            return Some(match &self.task_id {
                Some(id) => format!("starting: the task's scopes are being fetched (task {id})"),
                None => "starting: the proxy does not listen yet".to_owned(),
            });
        };
        let current = serving.current.borrow();
        if let Err(error) = current.signer() {
            return Some(error.to_string());
        }
        let expiry = current.expiry.filter(|expiry| *expiry <= clock::now())?;
        Some(format!("the credentials expired on {}", log::date(expiry)))
    }

    fn current(&self) -> Option<Arc<Snapshot>> {
        self.serving.get().map(|serving| Arc::clone(&serving.current.borrow()))
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
                .current()
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
            "ready": self.not_ready_reason().is_none(),
            "notReadyBecause": self.not_ready_reason(),
            "draining": self.drain.has_begun(),
            "connections": self.drain.connections(),
            "requestsInFlight": self.metrics.in_flight(),
            "replayBuffer": { "bytes": used, "limit": limit },
            "credentials": self.current().as_deref().map(credentials),
        })
    }
}

fn credentials(current: &Snapshot) -> Value {
    let findings = current.profile.findings(clock::now());
    json!({
        "clientId": current.client_id.as_str(),
        "temporary": current.temporary,
        "findings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "expiry": current.expiry.map(log::date),
        "expiresInSeconds": current.expiry.map(|expiry| seconds_until(expiry) as i64),
        "scopes": scopes(current.scopes.as_deref()),
        "authorizedScopes": scopes(current.authorized_scopes.as_deref()),
    })
}

fn revision() -> &'static str {
    REVISION.unwrap_or("unknown")
}

/// The seconds until `moment`, negative if it is in the past.
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
