//! The access log and the metrics of one request.

use super::Proxy;
use crate::cli::printable;
use crate::clock::Nonce;
use crate::inbound::Drain;
use crate::outbound::{Origin, RequestBody};
use crate::telemetry::metrics::{Class, Ended, Metrics, Outcome, Service, Traffic, Verb};
use http::{Method, Uri};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::Instant;

/// Collects what the access log and the metrics record about one request, and writes both when it is
/// dropped: exactly once, also when the request is cancelled.
#[derive(Debug)]
pub(super) struct AccessLog {
    metrics: Arc<Metrics>,
    drain: Arc<Drain>,
    method: Method,
    uri: Uri,
    id: Nonce,
    start: Instant,
    /// What the request is for.
    pub(super) service: Cell<Service>,
    /// The status of the response; 0 while there is none.
    pub(super) status: Cell<u16>,
    /// How the request ended.
    pub(super) outcome: Cell<Outcome>,
    /// Where it was forwarded to.
    pub(super) upstream: OnceCell<Arc<Origin>>,
    /// How often it was sent there.
    pub(super) attempts: Cell<u32>,
    /// Its body, which knows how much of it was received.
    pub(super) body: OnceCell<RequestBody>,
    /// How much of the response's body was sent, in bytes.
    pub(super) sent: Cell<u64>,
    /// What else there is to say, such as what is wrong with it.
    pub(super) note: RefCell<Option<String>>,
}

impl AccessLog {
    /// Begins with a request whose header section has come.
    pub(super) fn begin(proxy: &Proxy, method: &Method, uri: &Uri) -> Self {
        proxy.metrics.begin();
        Self {
            metrics: Arc::clone(&proxy.metrics),
            drain: Arc::clone(&proxy.drain),
            method: method.clone(),
            uri: uri.clone(),
            id: proxy.ids.next(),
            start: Instant::now(),
            service: Cell::new(Service::None),
            status: Cell::new(0),
            outcome: Cell::new(Outcome::Gone),
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

    /// Whether the response has no body (RFC 9110 section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The header section of the response came from the upstream.
    pub(super) fn responded(&self) {
        self.metrics.answered(self.service.get(), self.start.elapsed());
    }

    fn traffic(&self) -> Traffic {
        let received = self.body.get().map_or(0, RequestBody::received);
        Traffic { received, sent: self.sent.get() }
    }

    fn write(&self, traffic: Traffic) {
        // The query may hold a signature: the path alone tells what was asked for.
        let path = self.uri.path();
        // In ASCII no control characters get this far.
        let path = if path.is_ascii() { path.into() } else { Cow::from(printable(path)) };
        let status = self.status.get();
        let status = (status != 0).then_some(status);
        let attempts = self.attempts.get();
        let attempts = (attempts != 0).then_some(attempts);
        let micros = self.start.elapsed().as_micros() as f64;
        let method = self.method.as_str();
        let note = self.note.borrow();
        tracing::info!(
            method,
            path = &*path,
            status,
            // Scheme, host and port are enough to tell, and there is no secret in them.
            upstream = self.upstream.get().map(|origin| tracing::field::display(origin.as_str())),
            duration_ms = micros / 1000.0,
            attempts,
            bytes_in = traffic.received,
            bytes_out = traffic.sent,
            outcome = %self.outcome.get().as_str(),
            request_id = %self.id.as_str(),
            note = note.as_ref().map(tracing::field::display),
            "{method} {path} {}", status.as_ref().map_or("-".to_owned(), u16::to_string)
        );
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let traffic = self.traffic();
        if self.outcome.get() == Outcome::Gone && self.drain.is_cut_off() {
            self.outcome.set(Outcome::Cut);
        }
        if tracing::enabled!(tracing::Level::INFO) {
            self.write(traffic);
        }
        self.metrics.end(Ended {
            service: self.service.get(),
            verb: Verb::of(&self.method),
            class: Class::of(self.status.get()),
            outcome: self.outcome.get(),
            traffic,
        });
    }
}
