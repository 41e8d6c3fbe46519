//! taskcluster-proxy: `taskcluster_proxy_core` under tokio and hyper.
//!
//! The binary is a list of steps over this library; the end-to-end tests start the binary.

pub mod cli;
pub mod config;
pub mod env;
pub mod sandbox;
pub mod server;
pub mod version;
