//! A Unix socket to listen on.

use super::ListenError;
use super::tcp::BACKLOG;
use crate::config::SocketFile;
use crate::http1::Stream;
use crate::server::{Owner, Peer, UserId};
use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};
use tokio::net::{UnixListener, UnixStream};

/// A Unix socket that listens. Where this process made its file, it removes it again when dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    file: Option<File>,
}

/// A file by its path, and by what tells it apart from one that takes its place.
#[derive(Debug)]
struct File {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl UnixSocket {
    /// Makes the file, in place of one that a process left behind.
    ///
    /// # Errors
    ///
    /// Somebody listens there, there is something else, or it cannot be made.
    pub(super) fn open(file: &SocketFile) -> Result<Self, ListenError> {
        let path = file.path.as_path();
        let failed = |reason| ListenError::Socket { path: path.to_owned(), reason };
        let listener = match bind(file) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind(file)
            }
            bound => bound,
        };
        let listener = listener.and_then(|socket| UnixListener::from_std(socket.into()));
        Ok(Self {
            listener: listener.map_err(failed)?,
            file: Some(File::at(path).map_err(failed)?),
        })
    }

    /// One that another process opened and looks after.
    ///
    /// # Errors
    ///
    /// The runtime does not take it.
    pub(super) fn of_others(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file: None })
    }

    /// Where it is; empty if it has no name.
    pub(super) fn path(&self) -> PathBuf {
        let address = self.listener.local_addr().ok();
        address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
    }

    pub(super) fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, Peer)>> {
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

/// The mode is that of `file` from the first: the file is made with it. A path could by then lead to
/// something else, and before `listen` nobody can connect.
#[cfg_attr(
    any(target_os = "freebsd", target_vendor = "apple"),
    expect(clippy::useless_conversion, reason = "a mode has 16 bits here, and 32 on Linux")
)]
fn bind(file: &SocketFile) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(&file.path)?;
    let forbidden = Mode::from_bits_truncate((!file.mode & 0o777).into());
    let before = umask(forbidden);
    let bound = socket.bind(&address);
    umask(before);
    bound?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Removes the socket that a process left behind when it was killed: nobody listens there.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |reason| ListenError::Socket { path: path.to_owned(), reason };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let probe = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // One that is busy must not keep the start waiting.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match probe() {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Its queue is full.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(ListenError::SocketInUse(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
        Ok(()) => Err(ListenError::SocketInUse(path.to_owned())),
    }
}

/// Who connected (SO_PEERCRED, or what the platform has for it).
fn owner(stream: &UnixStream) -> Owner {
    stream.peer_cred().map_or(Owner::Gone, |peer| Owner::User(UserId::Uid(peer.uid())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(name: &str, mode: u16) -> SocketFile {
        let path = std::env::temp_dir().join(format!("{name}-{}.sock", std::process::id()));
        SocketFile { path, mode }
    }

    fn open(file: &SocketFile) -> Result<UnixSocket, String> {
        UnixSocket::open(file).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_has_the_mode_given_and_goes_with_the_listener() {
        for mode in [0o600, 0o660, 0o666] {
            let file = file("mode", mode);
            let socket = open(&file).unwrap();
            let metadata = fs::symlink_metadata(&file.path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, u32::from(mode), "{mode:o}");
            assert_eq!(socket.path(), file.path);
            drop(socket);
            assert!(!file.path.exists(), "{mode:o}");
        }
    }

    #[tokio::test]
    async fn one_that_was_left_behind_is_replaced_and_a_live_one_is_not() {
        let file = file("stale", 0o600);
        drop(std::os::unix::net::UnixListener::bind(&file.path).unwrap());
        let first = open(&file).unwrap();
        let error = open(&file).unwrap_err();
        let expected = format!("cannot listen on {}: another program does", file.path.display());
        assert!(error.starts_with(&expected), "{error}");
        // Another one in its place is not its to remove.
        fs::remove_file(&file.path).unwrap();
        let second = open(&file).unwrap();
        drop(first);
        assert!(file.path.exists());
        drop(second);
        assert!(!file.path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let file = file("file", 0o600);
        fs::write(&file.path, "precious").unwrap();
        let error = open(&file).unwrap_err();
        assert!(error.contains("expected nothing or a socket there"), "{error}");
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "precious");
        fs::remove_file(&file.path).unwrap();
        let long = SocketFile { path: format!("/tmp/{}", "x".repeat(200)).into(), mode: 0o600 };
        assert!(open(&long).unwrap_err().ends_with("choose another path with --socket"));
    }

    #[tokio::test]
    async fn peers_are_known() {
        let file = file("peers", 0o600);
        let socket = open(&file).unwrap();
        let (client, accepted) = tokio::join!(
            UnixStream::connect(&file.path),
            std::future::poll_fn(|context| socket.poll_accept(context))
        );
        client.unwrap();
        let me = UserId::Uid(nix::unistd::geteuid().as_raw());
        assert_eq!(accepted.unwrap().1, Peer::Unix(Owner::User(me)));
    }
}
