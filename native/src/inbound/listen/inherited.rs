//! Sockets that a service manager passes to the proxy (`LISTEN_FDS`).

use super::{ListenError, Listener};

/// Sockets that a service manager opened for this process, as with systemd's socket activation
/// (sd_listen_fds(3)).
pub struct Inherited {
    #[cfg(unix)]
    descriptors: listenfd::ListenFd,
}

impl Inherited {
    /// Takes ownership of the sockets. Must be called once, before threads are started: it removes
    /// `LISTEN_FDS` and `LISTEN_PID` from the environment.
    pub fn take() -> Self {
        Self {
            #[cfg(unix)]
            descriptors: listenfd::ListenFd::from_env(),
        }
    }

    #[cfg(unix)]
    pub(super) fn listeners(mut self) -> Result<Vec<Listener>, ListenError> {
        let mut all = Vec::with_capacity(self.descriptors.len());
        for index in 0..self.descriptors.len() {
            let listener = match self.descriptors.take_tcp_listener(index) {
                Ok(Some(listener)) => tcp(listener).map(Listener::Tcp),
                // Cannot occur: no descriptor is taken twice.
                Ok(None) => continue,
                Err(_) => self.unix(index),
            };
            all.push(listener.map_err(ListenError::Inherited)?);
        }
        Ok(all)
    }

    #[cfg(not(unix))]
    pub(super) fn listeners(self) -> Result<Vec<Listener>, ListenError> {
        Ok(Vec::new())
    }

    #[cfg(unix)]
    fn unix(&mut self, index: usize) -> std::io::Result<Listener> {
        let listener = self.descriptors.take_unix_listener(index)?;
        let listener = listener.ok_or(std::io::ErrorKind::NotFound)?;
        expect_listening(&listener)?;
        super::UnixSocket::inherited(listener).map(Listener::Unix)
    }
}

#[cfg(unix)]
fn tcp(listener: std::net::TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    expect_listening(&listener)?;
    // As on the proxy's own sockets; a service manager usually does not set these options.
    let socket = socket2::SockRef::from(&listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&super::tcp::keepalive())?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn expect_listening<'a, S>(socket: &'a S) -> std::io::Result<()>
where
    socket2::SockRef<'a>: From<&'a S>,
{
    match socket2::SockRef::from(socket).is_listener()? {
        true => Ok(()),
        false => Err(std::io::Error::other("the socket does not listen: set Accept=no")),
    }
}

/// These systems have no such query; accepting connections fails later.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "freebsd"))))]
fn expect_listening<S>(_socket: &S) -> std::io::Result<()> {
    Ok(())
}
