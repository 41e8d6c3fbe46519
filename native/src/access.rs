//! A request in the access log and in the metrics: one line, one count, when it has ended.

use crate::clock::Nonce;
use crate::http1::{Request, Traffic};
use crate::metrics::{Class, Ended, Metrics, Outcome, Service, Verb};
use crate::upstream::Origin;
use std::sync::Arc;
use std::time::Instant;

/// What is to be said of a request. It is said when this is dropped, and so once, however the request
/// ends.
#[derive(Debug)]
pub struct Entry<'a> {
    metrics: &'a Metrics,
    request: Option<&'a Request>,
    id: Nonce,
    start: Instant,
    /// What it is for.
    pub service: Service,
    /// What it was answered with; 0 is nothing so far.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Who answered.
    pub upstream: Option<Arc<Origin>>,
    /// How often it was sent there.
    pub attempts: u32,
    /// How much of its body came, and how much of its answer's went.
    pub traffic: Traffic,
    /// What else there is to say, such as what is wrong with it.
    pub note: Option<String>,
}

impl<'a> Entry<'a> {
    /// Begins with a request that has come; `None` for what came instead of one.
    pub fn begin(metrics: &'a Metrics, id: Nonce, request: Option<&'a Request>) -> Self {
        metrics.begin();
        Self {
            metrics,
            request,
            id,
            start: Instant::now(),
            service: Service::None,
            status: 0,
            outcome: Outcome::Cut,
            upstream: None,
            attempts: 0,
            traffic: Traffic::default(),
            note: None,
        }
    }

    /// Which request it is, for whoever compares an answer with the log.
    pub fn id(&self) -> Nonce {
        self.id
    }

    /// The head of the answer came from upstream.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
        self.metrics.answered(self.service, self.start.elapsed());
    }

    fn log(&self) {
        let (method, target) = match self.request {
            Some(request) => (request.method.as_str(), request.target.as_str()),
            None => ("-", "-"),
        };
        // The query may hold a signature: the path alone tells what was asked for.
        let path = target.split_once('?').map_or(target, |(path, _query)| path);
        let status = (self.status != 0).then_some(self.status);
        let attempts = (self.attempts != 0).then_some(self.attempts);
        let micros = self.start.elapsed().as_micros() as f64;
        tracing::info!(
            method,
            path,
            status,
            // Scheme, host and port are enough to tell, and there is no secret in them.
            upstream = self.upstream.as_ref().map(|origin| tracing::field::display(origin.as_str())),
            duration_ms = micros / 1000.0,
            attempts,
            bytes_in = self.traffic.received,
            bytes_out = self.traffic.sent,
            outcome = %self.outcome.as_str(),
            request_id = %self.id.as_str(),
            note = self.note.as_ref().map(tracing::field::display),
            "{method} {path} {}", status.as_ref().map_or("-".to_owned(), u16::to_string)
        );
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if tracing::enabled!(tracing::Level::INFO) {
            self.log();
        }
        self.metrics.end(Ended {
            service: self.service,
            verb: self.request.map_or(Verb::Other, |request| Verb::of(&request.method)),
            class: Class::of(self.status),
            outcome: self.outcome,
            traffic: self.traffic,
        });
    }
}
