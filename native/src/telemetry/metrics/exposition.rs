//! The counters as Prometheus reads them (text format 0.0.4).

use super::histogram::BOUNDS;
use super::{Class, Metrics, Outcome, Rejection, Retry, Service, Source, Update, Verb, place};
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is not counted but is so at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Gauges<'a> {
    /// The program's version.
    pub version: &'a str,
    /// Its git revision.
    pub revision: &'a str,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How many connections of clients are open.
    pub connections: usize,
    /// Whether the proxy was told to stop.
    pub draining: bool,
    /// How many seconds the certificate has left, less than none once it has expired; `None` for
    /// permanent credentials.
    pub certificate_expires_in: Option<f64>,
    /// How much is kept of request bodies, in bytes.
    pub replay_used: usize,
    /// How much may be, in bytes.
    pub replay_limit: usize,
}

/// All of it. Of requests, retries by combinations that have happened; `promtool check metrics` has
/// nothing to say against it.
pub fn write(metrics: &Metrics, gauges: &Gauges<'_>) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    requests(&mut page, metrics);
    latency(&mut page, metrics);
    let help = "Attempts after the first, by why there was another.";
    let labels = Retry::ALL.iter().map(|why| why.as_str());
    page.counters("retries_total", help, "reason", labels.zip(&metrics.retries));
    page.single("connections", "gauge", "Open connections of clients.", gauges.connections);
    let help = "Connections of clients that were accepted.";
    page.single("connections_total", "counter", help, load(Some(&metrics.accepted)));
    let help = "Connections that were closed without an answer, by why.";
    let labels = Rejection::ALL.iter().map(|why| why.as_str());
    page.counters("rejected_connections_total", help, "reason", labels.zip(&metrics.rejected));
    let help = "Bytes of request bodies taken from clients; counted when a request ends.";
    page.single("received_bytes_total", "counter", help, load(Some(&metrics.received)));
    let help = "Bytes of answers' bodies given to clients; counted when a request ends.";
    page.single("sent_bytes_total", "counter", help, load(Some(&metrics.sent)));
    updates(&mut page, metrics);
    if let Some(seconds) = gauges.certificate_expires_in {
        let help = "Until the certificate in force expires; negative once it has.";
        page.single("certificate_expires_in_seconds", "gauge", help, seconds);
    }
    let help = "Request bodies kept to be sent again.";
    page.single("replay_buffer_bytes", "gauge", help, gauges.replay_used);
    let help = "The most that is kept of request bodies (--replay-total).";
    page.single("replay_buffer_limit_bytes", "gauge", help, gauges.replay_limit);
    let help = "Log lines that could not be written to stderr.";
    page.single("dropped_log_lines_total", "counter", help, crate::telemetry::log::dropped_lines());
    let help = "1 once the proxy was told to stop.";
    page.single("draining", "gauge", help, u8::from(gauges.draining));
    page.single("start_time_seconds", "gauge", "When the proxy started.", gauges.started);
    page.family("build_info", "gauge", "What is running: always 1.");
    let Gauges { version, revision, .. } = gauges;
    page.sample("build_info", &[("version", version), ("revision", revision)], 1);
    page.0
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let help = "Requests that have ended, by what they were for, how they asked and ended.";
    page.family("requests_total", "counter", help);
    for service in Service::ALL {
        for verb in Verb::ALL {
            for class in Class::ALL {
                for outcome in Outcome::ALL {
                    let count = metrics.requests.get(place(*service, *verb, *class, *outcome));
                    let labels = [
                        ("service", service.as_str()),
                        ("method", verb.as_str()),
                        ("status", class.as_str()),
                        ("outcome", outcome.as_str()),
                    ];
                    // 2,000 lines of zeroes would be nobody's gain.
                    if load(count) > 0 {
                        page.sample("requests_total", &labels, load(count));
                    }
                }
            }
        }
    }
    let help = "Requests that have begun and not ended.";
    page.single("requests_in_flight", "gauge", help, metrics.in_flight());
}

fn latency(page: &mut Page, metrics: &Metrics) {
    const NAME: &str = "upstream_latency_seconds";
    let help = "From a request's head to the head of its answer from upstream, retries included.";
    page.family(NAME, "histogram", help);
    for (service, histogram) in Service::ALL.iter().zip(&metrics.latency) {
        let service = service.as_str();
        let bounds = BOUNDS.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        let total = histogram.cumulative().last().unwrap_or_default();
        if total == 0 {
            continue;
        }
        for (bound, count) in bounds.zip(histogram.cumulative()) {
            let labels = [("service", service), ("le", bound)];
            page.sample("upstream_latency_seconds_bucket", &labels, count);
        }
        let labels = [("service", service)];
        page.sample("upstream_latency_seconds_sum", &labels, histogram.sum());
        page.sample("upstream_latency_seconds_count", &labels, total);
    }
}

fn updates(page: &mut Page, metrics: &Metrics) {
    const NAME: &str = "credential_updates_total";
    let help = "New credentials, by where they came from and what became of them.";
    page.family(NAME, "counter", help);
    for (source, counts) in Source::ALL.iter().zip(&metrics.updates) {
        for (update, count) in Update::ALL.iter().zip(counts) {
            let labels = [("source", source.as_str()), ("result", update.as_str())];
            page.sample(NAME, &labels, load(Some(count)));
        }
    }
}

fn load(counter: Option<&AtomicU64>) -> u64 {
    counter.map(|counter| counter.load(Ordering::Relaxed)).unwrap_or_default()
}

/// What all names begin with.
const PREFIX: &str = "taskcluster_proxy_";

/// The text so far. Writing to a String cannot fail; label values hold nothing that would have to be
/// escaped: names of this program's, its version and revision.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.0, "{PREFIX}{name} {value}");
    }

    /// A counter for each value of one label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl Iterator<Item = (&'a str, &'a AtomicU64)>,
    ) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            self.sample(name, &[(label, value)], load(Some(count)));
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let _ = writeln!(self.0, "{PREFIX}{name}{{{}}} {value}", labels.join(","));
    }
}
