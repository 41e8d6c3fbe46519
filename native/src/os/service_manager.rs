//! Notifies the service manager that the proxy is ready or stopping (sd_notify(3), systemd's
//! `Type=notify`).

use crate::os::env::Environment;
use std::ffi::OsStr;
use std::io;

/// A state of the proxy of which the service manager is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The proxy accepts connections.
    Ready,
    /// The proxy is stopping.
    Stopping,
}

impl State {
    fn message(self) -> &'static str {
        match self {
            Self::Ready => "READY=1",
            Self::Stopping => "STOPPING=1",
        }
    }
}

/// Notifies the service manager at the socket in `NOTIFY_SOCKET`, if it is set. A failure is only logged,
/// because the proxy can serve requests nevertheless.
pub fn notify(state: State, env: &impl Environment) {
    let Some(socket) = env.get("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state.message()) {
        tracing::warn!("cannot notify the service manager of {}: {error}", state.message());
    }
}

#[cfg(unix)]
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    use std::os::unix::net::UnixDatagram;

    let sender = UnixDatagram::unbound()?;
    // A service manager that does not read must not block requests.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address(socket)?).map(drop)
}

#[cfg(not(unix))]
fn send(_: &OsStr, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The address of the socket: a path, or on Linux an abstract name, which begins with `@`.
#[cfg(unix)]
fn address(socket: &OsStr) -> io::Result<std::os::unix::net::SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::ffi::OsStrExt as _;

        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            return std::os::unix::net::SocketAddr::from_abstract_name(name);
        }
    }
    std::os::unix::net::SocketAddr::from_pathname(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn an_abstract_name() {
        let name = format!("taskcluster-proxy-notify-{}", std::process::id());
        let manager = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&manager).unwrap();
        notify(State::Ready, &HashMap::from([("NOTIFY_SOCKET", format!("@{name}").into())]));
        manager.set_nonblocking(true).unwrap();
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        assert_eq!(&message[..length], b"READY=1");
    }

    #[test]
    fn without_a_service_manager() {
        notify(State::Stopping, &HashMap::new());
        notify(State::Stopping, &HashMap::from([("NOTIFY_SOCKET", "".into())]));
        assert!(send(OsStr::new("/nonexistent"), "READY=1").is_err());
    }
}
