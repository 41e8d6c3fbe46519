//! What the operating system gives.

pub mod clock;
pub mod env;
pub mod file_watch;
pub mod peer;
pub mod process;
pub mod service_manager;
pub mod stream;
