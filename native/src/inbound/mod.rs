//! Connections of clients: listening, accepting, admitting, serving.

mod address;
mod admit;
mod client_stream;
mod connection;
mod connection_limit;
mod credentials_guard;
mod drain;
mod lingering_close;
mod listen;
mod owner;
mod peer;
mod serve;
#[cfg(any(windows, test))]
mod sid;
mod tls;
mod user;
#[cfg(windows)]
mod windows_api;

pub use address::{ClientAddr, LocalAddr};
pub use admit::{AdmitError, Admitter, Verdict};
pub(crate) use connection_limit::max_rejections;
pub use credentials_guard::{CredentialsGuard, GuardError};
pub use drain::{Drain, Open};
#[cfg(unix)]
pub(crate) use listen::UnixSocket;
pub use listen::{Inherited, ListenError, Listeners, bind};
#[cfg(target_os = "linux")]
pub use owner::find_owner;
pub use owner::{Owner, OwnerLookup};
pub use peer::Peer;
pub use serve::Inbound;
pub use tls::{Tls, TlsError, own_certificate};
pub use user::UserId;
