//! Tests of running the proxy: start, stop, health, log, metrics, `--check`, the documents and the
//! release.

mod admin;
mod check;
mod command_line;
mod documents;
mod health;
mod listening;
mod log;
mod log_blocked;
mod log_secrets;
mod readme;
mod release;
mod starting;
mod stop;
mod supervised;
mod task_scopes;
