//! The access log and the metrics of one request.

use super::Proxy;
use crate::os::clock::Nonce;
use crate::outbound::{Origin, RequestBody};
use crate::telemetry::metrics::{
    MethodLabel, Metrics, Outcome, RequestLabels, Service, StatusClass, Traffic,
};
use crate::telemetry::printable;
use http::{Method, Uri};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tracing::Span;

/// Collects what the access log and the metrics record about one request, and writes both when it is
/// dropped: exactly once, also when the request is cancelled.
#[derive(Debug)]
pub(super) struct AccessLog {
    metrics: Arc<Metrics>,
    /// Whether requests that end now were aborted because the proxy stops.
    aborting: Arc<AtomicBool>,
    method: Method,
    uri: Uri,
    id: Nonce,
    span: Span,
    start: Instant,
    /// The service or endpoint that the request is for.
    pub(super) service: Cell<Service>,
    /// The status of the response; 0 while there is none.
    pub(super) status: Cell<u16>,
    /// How the request ended; `None` until the response has been sent or has failed.
    outcome: Cell<Option<Outcome>>,
    /// Whether the response is a 5xx of the proxy itself.
    failed: Cell<bool>,
    /// The upstream to which it is forwarded.
    pub(super) upstream: OnceCell<Arc<Origin>>,
    /// How often it was sent to the upstream.
    pub(super) attempts: Cell<u32>,
    /// Its body, which counts the bytes that were received.
    pub(super) body: OnceCell<RequestBody>,
    /// The bytes of the response's body that were sent.
    pub(super) sent: Cell<u64>,
    /// The reason of an error, or other information about the request.
    pub(super) note: RefCell<Option<String>>,
}

/// The `note` of a request whose client closed the connection. A client that closes only its sending
/// side cannot be distinguished from that.
const CLIENT_CLOSED: &str =
    "the client closed the connection, or its sending side, before the response was complete";
/// The `note` of a request that was aborted because the proxy stops.
const ABORTED: &str = "aborted because the proxy stopped (--drain-timeout, or a second signal)";

impl AccessLog {
    /// Begins the log of a request whose header section has been received.
    pub(super) fn begin(proxy: &Proxy, method: &Method, uri: &Uri) -> Self {
        proxy.metrics.begin();
        let id = proxy.ids.next();
        Self {
            metrics: Arc::clone(&proxy.metrics),
            aborting: Arc::clone(&proxy.aborting),
            method: method.clone(),
            uri: uri.clone(),
            id,
            // The most severe level, so that lines have the id with every --log-level.
            span: tracing::error_span!("request", request_id = id.as_str()),
            start: Instant::now(),
            service: Cell::new(Service::None),
            status: Cell::new(0),
            outcome: Cell::new(None),
            failed: Cell::new(false),
            upstream: OnceCell::new(),
            attempts: Cell::new(0),
            body: OnceCell::new(),
            sent: Cell::new(0),
            note: RefCell::new(None),
        }
    }

    /// The id of the request, which is also in its response.
    pub(super) fn id(&self) -> Nonce {
        self.id
    }

    /// The span that adds the request's id to the lines that are logged in it.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether the response has no body (RFC 9110 section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Records that the header section of the upstream's response was received.
    pub(super) fn responded(&self) {
        self.metrics.responded(self.service.get(), self.start.elapsed());
    }

    /// Records that the response is a 5xx of the proxy itself.
    pub(super) fn fail(&self) {
        self.failed.set(true);
    }

    /// Records that the whole response was passed to the client's connection. A client that has gone
    /// during its own upload does not receive it.
    pub(super) fn complete(&self) {
        let outcome = match self.body.get() {
            Some(body) if body.is_abandoned() => Outcome::ClientClosed,
            _ if self.failed.get() => Outcome::Error,
            _ => Outcome::Complete,
        };
        self.outcome.set(Some(outcome));
    }

    /// Records that the upstream's response ended early.
    pub(super) fn truncate(&self, reason: String) {
        self.outcome.set(Some(Outcome::Truncated));
        self.note.replace(Some(reason));
    }

    /// How the request ended, and its note.
    fn outcome_and_note(&self) -> (Outcome, Option<Cow<'static, str>>) {
        let note = self.note.take().map(Cow::from);
        match self.outcome.get() {
            Some(outcome) => (outcome, note),
            None if self.aborting.load(Ordering::Acquire) => {
                (Outcome::Truncated, Some(ABORTED.into()))
            }
            None if std::thread::panicking() => (Outcome::Error, note),
            None => (Outcome::ClientClosed, Some(note.unwrap_or(CLIENT_CLOSED.into()))),
        }
    }

    fn write(&self, traffic: Traffic, outcome: Outcome, note: Option<&str>) {
        // Without the query, which may contain a signature.
        let path = self.uri.path();
        // An ASCII path that hyper accepts has no control characters.
        let path = if path.is_ascii() { path.into() } else { Cow::from(printable(path)) };
        let (status, attempts) = (self.status.get(), self.attempts.get());
        let micros = self.start.elapsed().as_micros() as f64;
        tracing::info!(
            parent: &self.span,
            method = self.method.as_str(),
            path = &*path,
            status = (status != 0).then_some(status),
            upstream = self.upstream.get().map(|origin| origin.as_str()),
            duration_ms = micros / 1000.0,
            attempts = (attempts != 0).then_some(attempts),
            bytes_in = traffic.received,
            bytes_out = traffic.sent,
            outcome = outcome.as_str(),
            note,
            "request"
        );
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let received = self.body.get().map_or(0, RequestBody::received);
        let traffic = Traffic { received, sent: self.sent.get() };
        let (outcome, note) = self.outcome_and_note();
        if tracing::enabled!(tracing::Level::INFO) {
            self.write(traffic, outcome, note.as_deref());
        }
        let labels = RequestLabels {
            service: self.service.get(),
            method: MethodLabel::of(&self.method),
            status: StatusClass::of(self.status.get()),
            outcome,
        };
        self.metrics.end(&labels, traffic);
    }
}
