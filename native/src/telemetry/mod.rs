//! What the program reports about itself: log, metrics, version.

pub mod build_info;
pub mod log;
pub mod metrics;
