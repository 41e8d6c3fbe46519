//! What has happened so far, counted.
//!
//! Counting is a few additions per request: tables indexed by enums, no locks, no memory, no text.

mod exposition;
mod histogram;
mod label;

pub use exposition::{Gauges, write};
pub use label::{Class, Outcome, Rejection, Retry, Service, Source, Update, Verb};

use histogram::Histogram;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    requests: Box<[AtomicU64]>,
    in_flight: AtomicUsize,
    latency: [Histogram; SERVICES],
    retries: [AtomicU64; Retry::ALL.len()],
    accepted: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    received: AtomicU64,
    sent: AtomicU64,
    updates: [[AtomicU64; Update::ALL.len()]; Source::ALL.len()],
}

const SERVICES: usize = Service::ALL.len();
const VERBS: usize = Verb::ALL.len();
const CLASSES: usize = Class::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();

/// What a request is counted by once it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// What it was for.
    pub service: Service,
    /// How it asked.
    pub verb: Verb,
    /// How it was answered.
    pub class: Class,
    /// How it ended.
    pub outcome: Outcome,
    /// How much of bodies went to and fro.
    pub traffic: Traffic,
}

/// How much of bodies a request has moved, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Of its own body.
    pub received: u64,
    /// Of the response's.
    pub sent: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = (0..SERVICES * VERBS * CLASSES * OUTCOMES).map(|_| AtomicU64::new(0));
        Self {
            requests: requests.collect(),
            in_flight: AtomicUsize::new(0),
            latency: Default::default(),
            retries: Default::default(),
            accepted: AtomicU64::new(0),
            rejected: Default::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            updates: Default::default(),
        }
    }
}

impl Metrics {
    /// A request has begun.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended.
    pub fn end(&self, ended: Ended) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        add(self.requests.get(place(ended.service, ended.verb, ended.class, ended.outcome)), 1);
        let Traffic { received, sent } = ended.traffic;
        add(Some(&self.received), received);
        add(Some(&self.sent), sent);
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The head of an answer came from upstream, so long after the request's.
    pub fn answered(&self, service: Service, took: Duration) {
        if let Some(histogram) = self.latency.get(service as usize) {
            histogram.observe(took);
        }
    }

    /// A request is sent again.
    pub fn retry(&self, why: Retry) {
        add(self.retries.get(why as usize), 1);
    }

    /// A connection was accepted.
    pub fn accept(&self) {
        add(Some(&self.accepted), 1);
    }

    /// A connection was rejected.
    pub fn reject(&self, why: Rejection) {
        add(self.rejected.get(why as usize), 1);
    }

    /// New credentials came.
    pub fn update(&self, source: Source, update: Update) {
        let updates = self.updates.get(source as usize);
        add(updates.and_then(|updates| updates.get(update as usize)), 1);
    }
}

fn place(service: Service, verb: Verb, class: Class, outcome: Outcome) -> usize {
    let row = (service as usize * VERBS + verb as usize) * CLASSES + class as usize;
    row * OUTCOMES + outcome as usize
}

fn add(counter: Option<&AtomicU64>, amount: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}
