//! Listening, accepting, admitting.

mod address;
mod admit;
mod linger;
mod listen;
mod owner;
mod serve;
mod user;

pub use address::{ClientAddr, LocalAddr};
pub use admit::{AdmitError, Admitter, Verdict};
pub use listen::{ListenError, Listeners, bind};
#[cfg(target_os = "linux")]
pub use owner::find_owner;
pub use owner::{Owner, OwnerLookup};
pub use serve::serve;
pub use user::UserId;
