//! Interfaces to the operating system: peers of connections, streams, files, processes, time.

pub mod clock;
pub mod env;
pub mod file_watch;
#[cfg(unix)]
pub mod hangup;
pub mod peer;
pub mod process;
pub mod service_manager;
pub mod stream;
