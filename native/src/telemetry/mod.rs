//! Log, metrics and version of the program.

pub mod build_info;
mod counted;
pub mod log;
mod log_line;
mod log_writer;
pub mod metrics;
mod printable;

pub use counted::counted;
pub use printable::printable;
