//! taskcluster-proxy: `taskcluster_proxy_core` with tokio and hyper.
//!
//! The library has all of the program except `main`: [`run`], and the definition of the command line,
//! [`command`], from which the man page and shell completions are generated. Its top-level modules
//! ("rooms", docs/architecture.md) are private, and each uses only those below it (`tests/layers.rs`).
//! The end-to-end tests run the binary.

#![allow(
    unreachable_pub,
    reason = "`pub` marks what other rooms use, though the rooms are private"
)]

mod admin;
mod app;
mod credentials;
mod inbound;
mod os;
mod outbound;
mod proxy;
mod telemetry;
#[doc(hidden)]
pub mod testing;

pub use app::cli::command;
pub use app::run;
