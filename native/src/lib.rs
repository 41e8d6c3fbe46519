//! taskcluster-proxy: `taskcluster_proxy_core` under tokio and hyper.
//!
//! The binary is a list of steps over this library; the end-to-end tests start the binary.

pub mod access;
pub mod admin;
pub mod call;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
mod count;
pub mod credentials;
pub mod credentials_file;
pub mod deployment;
mod diagnosis;
pub mod env;
pub mod exit;
pub mod expiry;
pub mod file;
pub mod health;
pub mod http1;
pub mod log;
pub mod metrics;
pub mod notify;
mod own_body;
pub mod process;
pub mod reply;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod stop;
pub mod task;
pub mod upstream;
pub mod version;
#[cfg(windows)]
pub mod windows_service;
