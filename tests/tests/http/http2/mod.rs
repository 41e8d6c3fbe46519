//! HTTP/2 upstreams in production conditions: clients that stop reading, connections that are full, dead
//! or closing, streams that are refused, large header sections.

mod dead_connections;
mod flow_control;
mod header_sections;
mod retries;
mod stream_limits;
mod streaming;
mod targets;

use support::{Connection, Proxy, Response};

/// The host name of the upstreams in these tests. They are the deployment, too: both `/<HOST>/<path>`
/// and `/<service>/<version>/<path>` lead there.
const HOST: &str = "files.example.test";

const MIB: u64 = 1024 * 1024;

/// A client that has sent a request with this target, and not read the response.
fn get(proxy: &Proxy, target: &str) -> Connection {
    let mut client = proxy.connect();
    client.send(support::request("GET", target, ""));
    client
}

/// The message of an error of the proxy itself with this status.
fn error(response: &Response, statuses: &[u16]) -> String {
    assert!(statuses.contains(&response.status()), "{response:?}");
    let message = response.json()["message"].as_str().map(str::to_owned);
    message.unwrap_or_else(|| panic!("no message: {response:?}"))
}
