//! What each fuzz target checks of any bytes, as a plain function: it panics where something does not
//! hold. `fuzz/` runs them under libFuzzer (docs/fuzzing.md), `tests/smoke.rs` over the seeds.

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
