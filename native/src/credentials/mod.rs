//! The current credentials: where they come from, the store that requests get them from, and
//! expiry.

pub mod expiry;
mod source;
mod store;

pub use source::{CredentialsFile, CredentialsFileError, CredentialsSource};
pub use store::{Lease, Snapshot, Store};
