//! Tells the service manager that the proxy is ready, or stopping: sd_notify(3), which systemd's
//! `Type=notify` waits for.

use crate::os::env::Environment;
use std::ffi::OsStr;
use std::io;

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connections are accepted.
    Ready,
    /// The end has begun.
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

/// Tells the manager that `NOTIFY_SOCKET` names; nobody where there is none. That it cannot be told
/// is logged: requests can be served all the same.
pub fn tell(state: State, env: &impl Environment) {
    let Some(socket) = env.get("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state.message()) {
        tracing::warn!("cannot tell the service manager {}: {error}", state.message());
    }
}

#[cfg(unix)]
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    use std::os::unix::net::UnixDatagram;

    let sender = UnixDatagram::unbound()?;
    // A manager that does not read must not keep requests waiting.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address(socket)?).map(drop)
}

#[cfg(not(unix))]
fn send(_: &OsStr, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A path, or on Linux a name of its own kind, which `@` stands before.
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
    fn a_name_of_linuxs_own_kind() {
        let name = format!("taskcluster-proxy-notify-{}", std::process::id());
        let manager = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&manager).unwrap();
        tell(State::Ready, &HashMap::from([("NOTIFY_SOCKET", format!("@{name}").into())]));
        manager.set_nonblocking(true).unwrap();
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        assert_eq!(&message[..length], b"READY=1");
    }

    #[test]
    fn nobody_to_tell() {
        tell(State::Stopping, &HashMap::new());
        tell(State::Stopping, &HashMap::from([("NOTIFY_SOCKET", "".into())]));
        assert!(send(OsStr::new("/nonexistent"), "READY=1").is_err());
    }
}
