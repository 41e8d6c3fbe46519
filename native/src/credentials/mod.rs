//! The current credentials: where they come from, who uses them, and when they expire.

pub mod expiry;
mod source;
mod store;

pub use source::{CredentialsFile, CredentialsFileError, CredentialsSource};
pub use store::{Lease, Snapshot, Store};
