//! taskcluster-proxy: `taskcluster_proxy_core` under tokio and hyper.
//!
//! The binary is a list of steps over this library; the end-to-end tests start the binary.

pub mod admin;
pub mod announce;
pub mod call;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod credentials_file;
pub mod deployment;
pub mod env;
pub mod exit;
pub mod expiry;
pub mod file;
pub mod health;
pub mod inbound;
pub mod notify;
pub mod os;
pub mod outbound;
pub mod process;
pub mod proxy;
pub mod sandbox;
pub mod stop;
pub mod task;
pub mod telemetry;
#[cfg(windows)]
pub mod windows_service;
