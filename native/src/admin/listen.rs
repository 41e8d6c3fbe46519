use crate::config::AdminAddress;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

/// Where the admin listener listens.
#[derive(Debug)]
pub enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket, whose file goes with it.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("--admin: cannot listen on {place}: {reason}; choose another address with --admin")]
pub struct AdminError {
    place: String,
    reason: io::Error,
}

/// The file of a Unix socket: removed when this is dropped.
#[cfg(unix)]
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// The address is taken, not permitted, or not one of this machine's.
    pub fn bind(address: &AdminAddress) -> Result<Self, AdminError> {
        match address {
            AdminAddress::Tcp(address) => {
                let fail = |reason| AdminError { place: address.to_string(), reason };
                let listener = std::net::TcpListener::bind(address).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                let listener = TcpListener::from_std(listener).map_err(fail)?;
                Ok(Self::Tcp(listener))
            }
            #[cfg(unix)]
            AdminAddress::Unix(path) => {
                let place = path.display().to_string();
                let listener = bind_unix(path).map_err(|reason| AdminError { place, reason })?;
                Ok(Self::Unix(listener, SocketFile(path.clone())))
            }
        }
    }

    /// Where it is, as it is said in the log.
    pub fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(error) => error.to_string(),
            },
            #[cfg(unix)]
            Self::Unix(_, SocketFile(path)) => format!("unix:{}", path.display()),
        }
    }
}

#[cfg(unix)]
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        // Left behind by a proxy that was killed: nobody listens there.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

#[cfg(unix)]
fn is_dead(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    // What is no socket at all refuses connections, too.
    let is_socket = std::fs::symlink_metadata(path)
        .is_ok_and(|file| std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()));
    is_socket && connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_no_other_file() {
        let folder = std::env::temp_dir().join(format!("taskcluster-admin-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (socket, file) = (folder.join("socket"), folder.join("file"));
        std::fs::write(&file, "kept").unwrap();
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let bind = |path: &Path| Listener::bind(&AdminAddress::Unix(path.to_owned()));
        let listener = bind(&socket).unwrap();
        let error = bind(&socket).unwrap_err().to_string();
        assert!(error.starts_with("--admin: cannot listen on ") && error.contains("in use"));
        assert!(bind(&file).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"kept");
        drop(listener);
        assert!(!socket.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
