//! What the operating system gives.

#[cfg(unix)]
pub mod hangup;
pub mod stream;
