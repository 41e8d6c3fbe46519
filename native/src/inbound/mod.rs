//! Connections of clients: listening, accepting, admitting, serving.

mod admission;
mod client_stream;
mod connection;
mod connection_limit;
mod drain;
mod lingering_close;
mod listen;
mod serve;
mod tls;

pub use admission::{AdmitError, Admitter, Verdict};
pub use drain::{Drain, Open};
#[cfg(unix)]
pub(crate) use listen::UnixSocket;
pub use listen::{Inherited, ListenError, Listeners, bind};
pub use serve::Inbound;
pub use tls::{Tls, TlsError, own_certificate};
