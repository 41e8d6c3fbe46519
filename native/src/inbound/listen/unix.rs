//! A Unix socket to listen on.

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

/// A Unix socket that listens. A file that this process created is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    file: Option<File>,
}

/// A file, identified so that another one at the same path is not mistaken for it.
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
    /// Another program listens there.
    #[error("another program does")]
    InUse,
    /// There is a file of another kind.
    #[error("expected nothing or a socket there, found something else")]
    NotASocket,
    /// The system does not let it.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl UnixSocket {
    /// Creates the file, in place of one that a killed process left behind. `mode`: its
    /// permissions; `None`: those that the umask leaves.
    ///
    /// # Errors
    ///
    /// Another program listens there, there is another kind of file, or it cannot be created.
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

    /// A socket that another process opened, and whose file that process removes.
    ///
    /// # Errors
    ///
    /// The runtime does not take it.
    pub(super) fn inherited(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file: None })
    }

    /// Where it is; empty if it has no name.
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
            // What stays behind is replaced by the next start.
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

/// The file is made with its mode: a path could by then lead to something else, and before `listen`
/// nobody can connect.
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

/// The umask is the process's own: two threads that set it at once would each restore the other's.
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

/// Removes the socket that a process left behind when it was killed: nobody listens there.
fn remove_stale(path: &Path) -> Result<(), UnixSocketError> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(UnixSocketError::NotASocket);
    }
    let probe = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A socket whose queue is full must not block the start.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match probe() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        // Its queue is full.
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
    async fn it_has_the_mode_given_and_goes_with_the_listener() {
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
    async fn one_that_was_left_behind_is_replaced_and_a_live_one_is_not() {
        let path = path("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = open(&path).unwrap();
        assert!(matches!(open(&path), Err(UnixSocketError::InUse)));
        // Another one in its place is not its to remove.
        fs::remove_file(&path).unwrap();
        let second = open(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(open(&path), Err(UnixSocketError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
        let long = format!("/tmp/{}", "x".repeat(200));
        assert!(matches!(open(long.as_ref()), Err(UnixSocketError::System(_))));
    }

    #[tokio::test]
    async fn peers_are_known() {
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
