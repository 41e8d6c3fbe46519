//! Tests of running the proxy: start, stop, health, log, metrics, `--check`, the documents and the
//! release.

mod admin;
mod check;
mod documents;
mod health;
mod log;
mod log_blocked;
mod readme;
mod release;
mod start;
mod starting;
mod stop;
mod supervised;
