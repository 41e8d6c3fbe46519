//! The current credentials: their source, the store from which requests lease them, and their expiry.

pub mod expiry;
mod source;
mod store;

pub use source::{CredentialsFile, CredentialsFileError, CredentialsSource};
pub use store::{Lease, Replaced, Snapshot, Store};
