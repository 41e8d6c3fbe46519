//! The fuzz targets as plain functions: each takes any bytes and panics if a property does not hold.
//! `fuzz/` runs them under libFuzzer (docs/fuzzing.md), `tests/smoke.rs` with seeds and mutations.

mod authorization;
mod connection;
mod credentials;
mod destination;
mod owner;
mod scopes;

pub use authorization::authorization;
pub use connection::connection;
pub use credentials::credentials;
pub use destination::destination;
pub use owner::owner;
pub use scopes::scopes;
