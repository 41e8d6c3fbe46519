//! The admin listener's socket.

#[cfg(unix)]
use crate::inbound::{UnixSocket, UnixSocketError};
use crate::os::stream::Stream;
#[cfg(unix)]
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use tokio::net::TcpListener;

/// The address of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

/// The admin listener's socket.
#[derive(Debug)]
pub struct Listener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// Removes its file when dropped.
    #[cfg(unix)]
    Unix(UnixSocket),
}

/// Why the admin listener cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The TCP socket cannot be opened.
    #[error("--admin: cannot listen on {address}: {reason}; choose another address with --admin")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        #[source]
        reason: io::Error,
    },
    /// The Unix socket cannot be opened.
    #[cfg(unix)]
    #[error(
        "--admin: cannot listen on {}: {reason}; choose another address with --admin",
        .path.display()
    )]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why it cannot be opened.
        #[source]
        reason: UnixSocketError,
    },
}

impl Listener {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// The address is in use, not permitted, or not one of this machine.
    pub fn bind(address: &Address) -> Result<Self, AdminError> {
        match address {
            Address::Tcp(address) => {
                let fail = |reason| AdminError::Tcp { address: *address, reason };
                let listener = std::net::TcpListener::bind(address).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                let listener = TcpListener::from_std(listener).map_err(fail)?;
                Ok(Self(Socket::Tcp(listener)))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let fail = |reason| AdminError::Unix { path: path.clone(), reason };
                let socket = UnixSocket::open(path, None).map_err(fail)?;
                Ok(Self(Socket::Unix(socket)))
            }
        }
    }

    /// The URL or path of the listener, for the log.
    pub fn location(&self) -> String {
        match &self.0 {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(error) => error.to_string(),
            },
            #[cfg(unix)]
            Socket::Unix(socket) => format!("unix:{}", socket.path().display()),
        }
    }

    /// Accepts the next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Socket::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            #[cfg(unix)]
            Socket::Unix(socket) => Ok(poll_fn(|context| socket.poll_accept(context)).await?.0),
        }
    }
}
