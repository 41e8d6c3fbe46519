//! What the program reports about itself: log, metrics, version.

pub mod build_info;
pub mod log;
mod log_line;
mod log_writer;
pub mod metrics;
mod printable;

pub use printable::printable;
