//! Listening, accepting, admitting.

mod address;
mod admit;
mod connection;
mod drain;
mod linger;
mod listen;
mod owner;
mod serve;

pub use address::{ClientAddr, LocalAddr};
pub use admit::{AdmitError, Admitter, Verdict};
pub use drain::{Drain, Open};
pub use listen::{ListenError, Listeners, bind};
pub use owner::{Owner, find_owner, owner_of};
pub use serve::serve;
