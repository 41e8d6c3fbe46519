//! Metrics for Prometheus: the counters and their labels.

mod exposition;
mod label;

pub use exposition::{CONTENT_TYPE, Gauges, encode};
pub use label::{
    MethodLabel, Outcome, Rejection, RequestLabels, Retry, Service, Source, StatusClass, Update,
};

use label::{RejectionLabels, RetryLabels, ServiceLabels, UpdateLabels};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The metrics that the proxy counts.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    in_flight: AtomicUsize,
    latency: Family<ServiceLabels, Histogram, fn() -> Histogram>,
    retries: Family<RetryLabels, Counter>,
    accepted: Counter,
    rejected: Family<RejectionLabels, Counter>,
    received: Counter,
    sent: Counter,
    updates: Family<UpdateLabels, Counter>,
}

/// The sizes of a request's body and of its response's body, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The bytes of the request's body that were received.
    pub received: u64,
    /// The bytes of the response's body that were sent.
    pub sent: u64,
}

/// Upper bounds of the latency buckets, in seconds: from the fastest response of a service to the default
/// retry budget of 30 s.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Default for Metrics {
    /// All combinations of labels are listed from the start, with the value 0, except those of requests, of
    /// which there are 2,000.
    fn default() -> Self {
        let retries = Family::default();
        for reason in Retry::ALL {
            drop(retries.get_or_create(&RetryLabels { reason: *reason }));
        }
        let rejected = Family::default();
        for reason in Rejection::ALL {
            drop(rejected.get_or_create(&RejectionLabels { reason: *reason }));
        }
        let updates = Family::default();
        for source in Source::ALL {
            for result in Update::ALL {
                drop(updates.get_or_create(&UpdateLabels { source: *source, result: *result }));
            }
        }
        Self {
            requests: Family::default(),
            in_flight: AtomicUsize::new(0),
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            retries,
            accepted: Counter::default(),
            rejected,
            received: Counter::default(),
            sent: Counter::default(),
            updates,
        }
    }
}

impl Metrics {
    /// Counts a request that has begun.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that has ended.
    pub fn end(&self, labels: &RequestLabels, traffic: Traffic) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.requests.get_or_create(labels).inc();
        let Traffic { received, sent } = traffic;
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }

    /// The number of requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Records the time from a request's header section to that of the upstream's response.
    pub fn responded(&self, service: Service, latency: Duration) {
        self.latency.get_or_create(&ServiceLabels { service }).observe(latency.as_secs_f64());
    }

    /// Counts a retry.
    pub fn retry(&self, reason: Retry) {
        self.retries.get_or_create(&RetryLabels { reason }).inc();
    }

    /// Counts a connection that was accepted.
    pub fn accept(&self) {
        self.accepted.inc();
    }

    /// Counts a connection that was rejected.
    pub fn reject(&self, reason: Rejection) {
        self.rejected.get_or_create(&RejectionLabels { reason }).inc();
    }

    /// Counts an update of the credentials.
    pub fn update(&self, source: Source, result: Update) {
        self.updates.get_or_create(&UpdateLabels { source, result }).inc();
    }
}
