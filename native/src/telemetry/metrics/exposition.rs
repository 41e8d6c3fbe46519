//! Writes the metrics in Prometheus's text format 0.0.4.

use super::Metrics;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The prefix of all names.
const PREFIX: &str = "taskcluster_proxy";

/// The values that are not in [`Metrics`], but are read when metrics are requested.
#[derive(Clone, Copy, Debug)]
pub struct Gauges<'a> {
    /// The program's version.
    pub version: &'a str,
    /// The program's git revision.
    pub revision: &'a str,
    /// When the program started, in seconds since 1970.
    pub started: u64,
    /// The number of open connections of clients.
    pub connections: usize,
    /// Whether the proxy drains.
    pub draining: bool,
    /// The seconds until the certificate expires, negative once it has; `None` for permanent
    /// credentials.
    pub certificate_expires_in: Option<f64>,
    /// The size of the request bodies that are kept for retries, in bytes.
    pub replay_used: usize,
    /// The maximum of `replay_used`, in bytes.
    pub replay_limit: usize,
    /// The number of log lines that were dropped.
    pub dropped_log_lines: u64,
}

/// Encodes all metrics, as text that `promtool check metrics` accepts.
pub fn encode(metrics: &Metrics, gauges: &Gauges<'_>) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    register_requests(&mut registry, metrics);
    register_connections(&mut registry, metrics, gauges);
    register_process(&mut registry, metrics, gauges);
    let mut page = String::with_capacity(8 * 1024);
    // Writing to a String cannot fail.
    let _ = prometheus_text::encode(&mut page, &registry);
    page
}

fn register_requests(registry: &mut Registry, metrics: &Metrics) {
    registry.register(
        "requests",
        "Requests that have ended, by service, method, status and outcome",
        metrics.requests.clone(),
    );
    registry.register("requests_in_flight", "Requests in flight", gauge(metrics.in_flight()));
    registry.register(
        "upstream_latency_seconds",
        "Time from a request's header section to that of the upstream's response, retries included",
        metrics.latency.clone(),
    );
    registry.register("retries", "Retries, by reason", metrics.retries.clone());
    registry.register(
        "received_bytes",
        "Bytes of request bodies received from clients; counted when a request ends",
        metrics.received.clone(),
    );
    registry.register(
        "sent_bytes",
        "Bytes of response bodies sent to clients; counted when a request ends",
        metrics.sent.clone(),
    );
}

fn register_connections(registry: &mut Registry, metrics: &Metrics, gauges: &Gauges<'_>) {
    registry.register("connections", "Open connections of clients", gauge(gauges.connections));
    registry.register(
        "connections",
        "Connections of clients that were accepted",
        metrics.accepted.clone(),
    );
    registry.register(
        "rejected_connections",
        "Connections that were closed without a response, by reason",
        metrics.rejected.clone(),
    );
}

fn register_process(registry: &mut Registry, metrics: &Metrics, gauges: &Gauges<'_>) {
    registry.register(
        "credential_updates",
        "Updates of the credentials, by source and result",
        metrics.updates.clone(),
    );
    if let Some(seconds) = gauges.certificate_expires_in {
        registry.register(
            "certificate_expires_in_seconds",
            "Time until the current certificate expires; negative once it has",
            ConstGauge::new(seconds),
        );
    }
    registry.register(
        "replay_buffer_bytes",
        "Bytes of request bodies that are kept for retries",
        gauge(gauges.replay_used),
    );
    registry.register(
        "replay_buffer_limit_bytes",
        "The maximum of bytes of request bodies that are kept (--replay-total)",
        gauge(gauges.replay_limit),
    );
    registry.register(
        "dropped_log_lines",
        "Log lines that were dropped because stderr was not read or could not be written to",
        ConstCounter::new(gauges.dropped_log_lines),
    );
    registry.register(
        "draining",
        "1 once the proxy has begun to drain",
        gauge(gauges.draining.into()),
    );
    let started = i64::try_from(gauges.started).unwrap_or(i64::MAX);
    registry.register("start_time_seconds", "When the proxy started", ConstGauge::new(started));
    let build_info = Family::<[(&str, String); 2], Gauge>::default();
    let (version, revision) = (gauges.version.to_owned(), gauges.revision.to_owned());
    build_info.get_or_create(&[("version", version), ("revision", revision)]).set(1);
    registry.register("build_info", "The running program's version: always 1", build_info);
}

fn gauge(value: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{
        MethodLabel, Outcome, Rejection, RequestLabels, Retry, Service, Source, StatusClass,
        Traffic, Update,
    };
    use super::*;
    use std::time::Duration;

    /// Names and labels, which dashboards and alerts rely on.
    #[test]
    fn names_labels_and_types_stay_as_they_are() {
        let metrics = Metrics::default();
        metrics.begin();
        let labels = RequestLabels {
            service: Service::PurgeCache,
            method: MethodLabel::Get,
            status: StatusClass::Success,
            outcome: Outcome::ClientClosed,
        };
        metrics.end(&labels, Traffic { received: 1, sent: 2 });
        metrics.responded(Service::Queue, Duration::from_millis(5));
        metrics.retry(Retry::Connect);
        metrics.accept();
        metrics.reject(Rejection::Tls);
        metrics.update(Source::Put, Update::Taken);
        let page = encode(
            &metrics,
            &Gauges {
                version: "1.2.3",
                revision: "abc",
                started: 1_767_225_600,
                connections: 3,
                draining: true,
                certificate_expires_in: Some(-1.5),
                replay_used: 4,
                replay_limit: 5,
                dropped_log_lines: 6,
            },
        );
        for expected in [
            "# TYPE taskcluster_proxy_requests_total counter",
            "taskcluster_proxy_requests_total{service=\"purge-cache\",method=\"GET\",\
             status=\"2xx\",outcome=\"client_closed\"} 1",
            "# TYPE taskcluster_proxy_requests_in_flight gauge",
            "taskcluster_proxy_requests_in_flight 0",
            "# TYPE taskcluster_proxy_upstream_latency_seconds histogram",
            "taskcluster_proxy_upstream_latency_seconds_sum{service=\"queue\"} 0.005",
            "taskcluster_proxy_upstream_latency_seconds_count{service=\"queue\"} 1",
            "taskcluster_proxy_upstream_latency_seconds_bucket{service=\"queue\",le=\"0.005\"} 1",
            "taskcluster_proxy_upstream_latency_seconds_bucket{service=\"queue\",le=\"+Inf\"} 1",
            "taskcluster_proxy_retries_total{reason=\"connect\"} 1",
            "taskcluster_proxy_retries_total{reason=\"status\"} 0",
            "# TYPE taskcluster_proxy_connections gauge",
            "taskcluster_proxy_connections 3",
            "# TYPE taskcluster_proxy_connections_total counter",
            "taskcluster_proxy_connections_total 1",
            "taskcluster_proxy_rejected_connections_total{reason=\"tls\"} 1",
            "taskcluster_proxy_received_bytes_total 1",
            "taskcluster_proxy_sent_bytes_total 2",
            "taskcluster_proxy_credential_updates_total{source=\"put\",result=\"taken\"} 1",
            "taskcluster_proxy_credential_updates_total{source=\"file\",result=\"refused\"} 0",
            "taskcluster_proxy_certificate_expires_in_seconds -1.5",
            "taskcluster_proxy_replay_buffer_bytes 4",
            "taskcluster_proxy_replay_buffer_limit_bytes 5",
            "taskcluster_proxy_dropped_log_lines_total 6",
            "taskcluster_proxy_draining 1",
            "taskcluster_proxy_start_time_seconds 1767225600",
            "taskcluster_proxy_build_info{version=\"1.2.3\",revision=\"abc\"} 1",
        ] {
            assert!(page.lines().any(|line| line == expected), "{expected} in\n{page}");
        }
        for bound in ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30"] {
            let count = page.matches(&format!("le=\"{bound}\"}}")).count();
            let whole = page.matches(&format!("le=\"{bound}.0\"}}")).count();
            assert_eq!(count + whole, 1, "{bound} in\n{page}");
        }
    }
}
