//! Requests to the admin listener of a proxy that was started with `--admin 127.0.0.1:0`.

use crate::{Proxy, Response, request};
use std::net::SocketAddr;

impl Proxy {
    /// The address of its admin listener; waits until it listens.
    pub fn admin_address(&self) -> SocketAddr {
        let line = self.wait_for_log("admin at http://");
        let (_, address) = line.split_once("http://").expect("the line contains it");
        let address = address.split(['"', '\n']).next().and_then(|text| text.parse().ok());
        address.expect("the line names an address")
    }

    /// Gets this path from the admin listener.
    pub fn get_admin(&self, path: &str) -> Response {
        crate::exchange(self.admin_address(), request("GET", path, ""))
    }

    /// All metrics.
    pub fn metrics(&self) -> String {
        let response = self.get_admin("/metrics");
        let content_type = response.header("content-type");
        assert_eq!(content_type, Some("text/plain; version=0.0.4; charset=utf-8"));
        response.text().to_owned()
    }
}

/// Fails unless these metrics have these samples with these values.
#[track_caller]
pub fn assert_samples(metrics: &str, expected: &[(&str, f64)]) {
    for (sample, expected) in expected {
        assert_eq!(value(metrics, sample), Some(*expected), "{sample} in\n{metrics}");
    }
}

/// The value of a sample among these metrics; `None` if there is no such sample.
pub fn value(metrics: &str, sample: &str) -> Option<f64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("taskcluster_proxy_")?.strip_prefix(sample));
    Some(line?.strip_prefix(' ')?.parse().expect("samples are numbers"))
}
