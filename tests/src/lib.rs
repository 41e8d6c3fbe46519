//! Support for the end-to-end tests in `tests/tests/`: the proxy as a child process, scripted
//! upstreams, a client that sends and reads exact bytes, third-party clients and verifiers.
//!
//! Everything runs over loopback sockets and pipes. No function sleeps to wait for a condition:
//! each waits for the condition itself, at most [`DEADLINE`], and then the test fails with a message
//! that names it.
//!
//! ```no_run
//! use support::{Proxy, ScriptedResponse, Upstream, exchange};
//!
//! let upstream = Upstream::start([ScriptedResponse::status(503), ScriptedResponse::ok("hello")]);
//! let proxy = Proxy::in_front_of(upstream.root_url()).start();
//! let response = exchange(proxy.address(), "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n");
//! assert_eq!((response.status(), response.body.as_slice()), (200, &b"hello"[..]));
//! assert_eq!(upstream.requests().len(), 2);
//! ```

pub mod admin;
mod binary;
mod certificate;
pub mod clients;
mod environment;
mod folder;
pub mod hawk;
pub mod http1;
mod http2;
#[cfg(target_os = "linux")]
mod network;
mod output;
mod proxy;
mod random;
mod raw;
mod scripted_response;
mod server_tls;
#[cfg(target_os = "linux")]
mod socks;
mod sync;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
#[cfg(unix)]
pub mod users;
mod words;

pub use binary::binary;
pub use certificate::certificate;
pub use environment::number;
pub use folder::Folder;
pub use http2::{Frame, Frames, Http2Builder, Http2Response, Http2Upstream};
#[cfg(target_os = "linux")]
pub use network::{UnresponsiveAddress, with_hosts};
pub use output::ProcessOutput;
pub use proxy::{Proxy, ProxyBuilder};
pub use random::{Random, seed};
pub use raw::{Connection, Response, exchange, request};
pub use scripted_response::ScriptedResponse;
#[cfg(target_os = "linux")]
pub use socks::Socks;
pub use sync::Latch;
pub use tls::{Tls, TlsBuilder, self_signed};
pub use upstream::{ClosedPort, Request, Script, Upstream};

use std::time::Duration;

/// How long a test waits for any one thing. It is generous, as only a failing
/// test reaches it, and machines that run tests are slow at times.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Reports that a test cannot run on this machine; the test returns next. In CI it fails instead.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
}
