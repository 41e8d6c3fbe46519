//! The process: what it is told, how it starts, checks itself and ends.

pub mod call;
pub mod check;
pub mod cli;
pub mod config;
pub mod deployment;
pub mod exit_code;
pub mod health_check;
pub mod shutdown;
pub mod task_scopes;
