use crate::app::config::AdminAddress;
#[cfg(unix)]
use crate::inbound::UnixSocket;
use crate::os::stream::Stream;
use std::fmt::Display;
#[cfg(unix)]
use std::future::poll_fn;
use std::io;
use tokio::net::TcpListener;

/// The admin listener's socket.
#[derive(Debug)]
pub struct Listener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// Its file goes with it.
    #[cfg(unix)]
    Unix(UnixSocket),
}

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("--admin: cannot listen on {place}: {reason}; choose another address with --admin")]
pub struct AdminError {
    place: String,
    reason: String,
}

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// The address is taken, not permitted, or not one of this machine's.
    pub fn bind(address: &AdminAddress) -> Result<Self, AdminError> {
        match address {
            AdminAddress::Tcp(address) => {
                let fail = |reason: io::Error| AdminError::new(address.to_string(), reason);
                let listener = std::net::TcpListener::bind(address).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                let listener = TcpListener::from_std(listener).map_err(fail)?;
                Ok(Self(Socket::Tcp(listener)))
            }
            #[cfg(unix)]
            AdminAddress::Unix(path) => {
                let fail = |reason| AdminError::new(path.display().to_string(), reason);
                let socket = UnixSocket::open(path, None).map_err(fail)?;
                Ok(Self(Socket::Unix(socket)))
            }
        }
    }

    /// Where it is, as it is said in the log.
    pub fn place(&self) -> String {
        match &self.0 {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(error) => error.to_string(),
            },
            #[cfg(unix)]
            Socket::Unix(socket) => format!("unix:{}", socket.path().display()),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Socket::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            #[cfg(unix)]
            Socket::Unix(socket) => Ok(poll_fn(|context| socket.poll_accept(context)).await?.0),
        }
    }
}

impl AdminError {
    fn new(place: String, reason: impl Display) -> Self {
        Self { place, reason: reason.to_string() }
    }
}
