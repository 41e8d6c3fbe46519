//! Opens Unix sockets to listen on.

use super::tcp::BACKLOG;
use crate::os::peer::{Owner, Peer, UserId};
use crate::os::stream::Stream;
use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::net::{UnixListener, UnixStream};

/// A listening Unix socket. When it is dropped, its file is removed if this process created it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    file: Option<File>,
}

/// A file, with the numbers that distinguish it from another file at the same path.
#[derive(Debug)]
struct File {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why no Unix socket can be opened at a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnixSocketError {
    /// Another program listens on it.
    #[error("another program listens on it")]
    InUse,
    /// There is a file of another kind.
    #[error("expected no file or a socket, found a file of another kind")]
    NotASocket,
    /// An error of the system.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl UnixSocket {
    /// Creates the socket's file with the permissions `mode`, or with those that the umask allows, and
    /// listens on it. Replaces a socket that a killed process left behind.
    ///
    /// # Errors
    ///
    /// Another program listens on it, there is a file of another kind, or it cannot be created.
    pub fn open(path: &Path, mode: Option<u16>) -> Result<Self, UnixSocketError> {
        let socket = match bind(path, mode) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind(path, mode)?
            }
            bound => bound?,
        };
        Ok(Self { listener: UnixListener::from_std(socket.into())?, file: Some(File::at(path)?) })
    }

    /// Wraps a socket that another process opened. That process removes the file.
    ///
    /// # Errors
    ///
    /// The socket cannot be registered with the runtime.
    pub(super) fn inherited(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file: None })
    }

    /// The path of its file; empty if it has none.
    pub fn path(&self) -> PathBuf {
        let address = self.listener.local_addr().ok();
        address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
    }

    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        let (stream, _) = ready!(self.listener.poll_accept(context))?;
        let owner = owner(&stream);
        Poll::Ready(Ok((Stream::Unix(stream), Peer::Unix(owner))))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Some(file) = &self.file
            && File::at(&file.path).is_ok_and(|there| there.is(file))
        {
            // A file that stays behind is replaced at the next start.
            let _ = fs::remove_file(&file.path);
        }
    }
}

impl File {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Creates the file with its final mode. Changing the mode afterwards could affect another file at the
/// same path.
fn bind(path: &Path, mode: Option<u16>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    match mode {
        Some(mode) => with_umask(!mode & 0o777, || socket.bind(&address))?,
        None => socket.bind(&address)?,
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Calls `create` with the umask `mask`. The umask belongs to the process, so only one thread may change it
/// at a time; otherwise one would restore the other's.
#[cfg_attr(
    any(target_os = "freebsd", target_vendor = "apple"),
    expect(clippy::useless_conversion, reason = "a mode has 16 bits here, and 32 on Linux")
)]
fn with_umask<T>(mask: u16, create: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = umask(Mode::from_bits_truncate(mask.into()));
    let created = create();
    umask(before);
    created
}

/// Removes a socket that a killed process left behind: one on which no process listens.
fn remove_stale(path: &Path) -> Result<(), UnixSocketError> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(UnixSocketError::NotASocket);
    }
    let probe = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Connecting to a socket whose backlog is full must not block.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match probe() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        // Its backlog is full.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(UnixSocketError::InUse),
        Err(error) => Err(error.into()),
        Ok(()) => Err(UnixSocketError::InUse),
    }
}

/// The user who connected (SO_PEERCRED, or its equivalent on other platforms).
fn owner(stream: &UnixStream) -> Owner {
    stream.peer_cred().map_or(Owner::NoProcess, |peer| Owner::User(UserId::Uid(peer.uid())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("{name}-{}.sock", std::process::id()))
    }

    fn open(path: &Path) -> Result<UnixSocket, UnixSocketError> {
        UnixSocket::open(path, Some(0o600))
    }

    #[tokio::test]
    async fn the_file_has_its_mode_and_is_removed_with_the_listener() {
        let path = path("mode");
        for mode in [0o600, 0o660, 0o666] {
            let socket = UnixSocket::open(&path, Some(mode)).unwrap();
            let metadata = fs::symlink_metadata(&path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, u32::from(mode), "{mode:o}");
            assert_eq!(socket.path(), path);
            drop(socket);
            assert!(!path.exists(), "{mode:o}");
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let path = path("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = open(&path).unwrap();
        assert!(matches!(open(&path), Err(UnixSocketError::InUse)));
        // It does not remove another file at its path.
        fs::remove_file(&path).unwrap();
        let second = open(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_not_replaced() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(open(&path), Err(UnixSocketError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
        let long = format!("/tmp/{}", "x".repeat(200));
        assert!(matches!(open(long.as_ref()), Err(UnixSocketError::System(_))));
    }

    #[tokio::test]
    async fn the_owner_of_a_peer_is_known() {
        let path = path("peers");
        let socket = open(&path).unwrap();
        let (client, accepted) = tokio::join!(
            UnixStream::connect(&path),
            std::future::poll_fn(|context| socket.poll_accept(context))
        );
        client.unwrap();
        let me = UserId::Uid(nix::unistd::geteuid().as_raw());
        assert_eq!(accepted.unwrap().1, Peer::Unix(Owner::User(me)));
    }
}
