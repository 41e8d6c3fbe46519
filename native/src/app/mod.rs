//! The process: what it is told, how it starts, checks itself and ends.

pub mod call;
pub mod check;
pub mod cli;
pub mod config;
pub mod deployment;
pub mod exit_code;
pub mod health_check;
#[cfg(not(feature = "sandbox"))]
mod no_sandbox;
pub mod shutdown;
pub mod task_scopes;

#[cfg(not(feature = "sandbox"))]
pub(crate) use no_sandbox::Sandbox;
#[cfg(feature = "sandbox")]
pub(crate) use taskcluster_proxy_sandbox::Sandbox;
