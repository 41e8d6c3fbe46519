//! Connections of clients: listening, accepting, admission, serving, graceful shutdown.

mod admission;
mod client_stream;
mod config;
mod connection;
mod connection_limit;
mod drain;
mod lingering_close;
mod listen;
mod serve;
mod tls;

pub use admission::{AdmitError, Admitter, Verdict};
pub use config::{Admission, Config, Listen, SocketFile, TlsFiles};
pub use connection_limit::max_rejections;
pub use drain::{Drain, OpenConnection};
pub use listen::{Inherited, ListenError, Listeners, bind};
#[cfg(unix)]
pub use listen::{UnixSocket, UnixSocketError};
pub use serve::{Inbound, InboundError};
pub use tls::{Tls, TlsError, own_certificate};
