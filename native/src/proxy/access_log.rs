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
    cut_off: Arc<AtomicBool>,
    method: Method,
    uri: Uri,
    id: Nonce,
    span: Span,
    start: Instant,
    /// What the request is for.
    pub(super) service: Cell<Service>,
    /// The status of the response; 0 while there is none.
    pub(super) status: Cell<u16>,
    /// How the request ended; `None` until the response has been sent or has failed.
    outcome: Cell<Option<Outcome>>,
    /// The response is an error of the proxy's own, and not the client's mistake.
    failed: Cell<bool>,
    /// Where it was forwarded to.
    pub(super) upstream: OnceCell<Arc<Origin>>,
    /// How often it was sent there.
    pub(super) attempts: Cell<u32>,
    /// Its body, which knows how much of it was received.
    pub(super) body: OnceCell<RequestBody>,
    /// How much of the response's body was sent, in bytes.
    pub(super) sent: Cell<u64>,
    /// The reason of an error, or what else there is to say.
    pub(super) note: RefCell<Option<String>>,
}

/// What `note` says of a request whose client closed the connection. A client that closes only its
/// sending side looks the same until something is sent to it.
const CLIENT_CLOSED: &str =
    "the client closed the connection, or its sending side, before the response was complete";
/// What `note` says of a request that the end of the proxy has cut off.
const CUT_OFF: &str = "cut off at the end of the proxy (--drain-timeout, or a second signal)";

impl AccessLog {
    /// Begins with a request whose header section has been received.
    pub(super) fn begin(proxy: &Proxy, method: &Method, uri: &Uri) -> Self {
        proxy.metrics.begin();
        let id = proxy.ids.next();
        Self {
            metrics: Arc::clone(&proxy.metrics),
            cut_off: Arc::clone(&proxy.cut_off),
            method: method.clone(),
            uri: uri.clone(),
            id,
            // Of the highest level: no line may lack the id, however little is logged.
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

    /// The id of the request, for whoever compares a response with the log.
    pub(super) fn id(&self) -> Nonce {
        self.id
    }

    /// Gives its id to the lines that are logged while the request is handled.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether the response has no body (RFC 9110 section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The header section of the response was received from the upstream.
    pub(super) fn responded(&self) {
        self.metrics.responded(self.service.get(), self.start.elapsed());
    }

    /// The response is an error that the client has not caused.
    pub(super) fn fail(&self) {
        self.failed.set(true);
    }

    /// The whole response was handed over to the client's connection.
    pub(super) fn complete(&self) {
        self.outcome.set(Some(if self.failed.get() { Outcome::Error } else { Outcome::Complete }));
    }

    /// The upstream's response ended early.
    pub(super) fn truncate(&self, why: String) {
        self.outcome.set(Some(Outcome::Truncated));
        self.note.replace(Some(why));
    }

    /// How the request ended, and what there is to say of it.
    fn ended(&self) -> (Outcome, Option<Cow<'static, str>>) {
        let note = self.note.take().map(Cow::from);
        match self.outcome.get() {
            Some(outcome) => (outcome, note),
            None if self.cut_off.load(Ordering::Acquire) => {
                (Outcome::Truncated, Some(CUT_OFF.into()))
            }
            None if std::thread::panicking() => (Outcome::Error, note),
            None => (Outcome::ClientClosed, Some(note.unwrap_or(CLIENT_CLOSED.into()))),
        }
    }

    fn write(&self, traffic: Traffic, outcome: Outcome, note: Option<&str>) {
        // The query may hold a signature: the path alone tells what was asked for.
        let path = self.uri.path();
        // In ASCII no control characters get this far.
        let path = if path.is_ascii() { path.into() } else { Cow::from(printable(path)) };
        let (status, attempts) = (self.status.get(), self.attempts.get());
        let micros = self.start.elapsed().as_micros() as f64;
        tracing::info!(
            parent: &self.span,
            method = self.method.as_str(),
            path = &*path,
            status = (status != 0).then_some(status),
            // Scheme, host and port are enough to tell, and there is no secret in them.
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
        let (outcome, note) = self.ended();
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
