//! taskcluster-proxy: `taskcluster_proxy_core` under tokio and hyper.
//!
//! The library is the program without its `main`: [`run`], and the definition of the [`command`]
//! line, from which the man page and completions are written. Its rooms, the modules below, are
//! private; each uses only those below it (`tests/layers.rs`). The end-to-end tests start the binary.

#![allow(
    unreachable_pub,
    reason = "`pub` says what other rooms use; nothing else leaves the crate"
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
