//! Listening, accepting, admitting.

mod address;
mod admit;
mod capacity;
mod connection;
mod linger;
mod listen;
mod owner;
mod serve;

pub use address::{ClientAddr, LocalAddr};
pub use admit::{AdmitError, Admitter, Verdict};
pub use listen::{ListenError, Listeners, bind};
pub use owner::{Owner, find_owner, owner_of};
pub use serve::serve;
