//! taskcluster-proxy: `taskcluster_proxy_core` under tokio and hyper.
//!
//! The binary is a list of steps over this library; the end-to-end tests start the binary.

pub mod admin;
pub mod app;
pub mod credentials;
pub mod inbound;
pub mod os;
pub mod outbound;
pub mod proxy;
pub mod telemetry;
