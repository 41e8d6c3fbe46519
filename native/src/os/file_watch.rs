//! Reads the files that an operator names, and watches them for changes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// The maximum size of a file that is read, in bytes: the same as for `PUT /credentials`.
pub const MAX_FILE: usize = 1024 * 1024;

/// How often files are checked. A change takes effect one to two periods later. A check takes a system
/// call for each file, but unlike notifications it works on every platform and every file system.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Reads the contents of a file, which are zeroized when dropped.
///
/// # Errors
///
/// The file cannot be read, or has more than [`MAX_FILE`] bytes.
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_all(File::open(path)?)
}

/// Reads up to the end. The contents are zeroized when dropped.
///
/// # Errors
///
/// `from` cannot be read, or has more than [`MAX_FILE`] bytes.
pub fn read_all(from: impl io::Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // The buffer has room for the largest file, because one that grows would leave copies behind.
    let mut contents = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    from.take(MAX_FILE as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > MAX_FILE {
        let text = format!("expected at most {MAX_FILE} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(contents)
}

/// Warns if other users than that of this process can access a file with secrets.
pub fn warn_if_exposed(option: &str, path: &Path) {
    if let Some(mode) = exposed_mode(path) {
        let path = path.display();
        tracing::warn!(
            "{option} {path:?}: users other than its owner can access it (mode {mode:04o}): run chmod 600"
        );
    }
}

/// Watches files for changes.
#[derive(Debug)]
pub struct FileWatcher {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Fingerprint>>,
}

/// Changes when a file is written or replaced, or when a symbolic link leads to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<SystemTime>,
    length: u64,
    identity: Option<(u64, u64)>,
}

impl FileWatcher {
    /// Watches the files from now on. Must be called before they are read, so that no change is missed.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths: Vec<_> = paths.into_iter().collect();
        let seen = fingerprints(&paths);
        Self { paths, seen }
    }

    /// Waits until the files have changed and stayed the same for a [`PERIOD`]: a file is not read
    /// while it is being written, nor a new certificate without its new key.
    pub async fn changed(&mut self) {
        let mut last = self.seen.clone();
        loop {
            sleep(PERIOD).await;
            let paths = self.paths.clone();
            // A file system that hangs must not block requests.
            let Ok(now) = tokio::task::spawn_blocking(move || fingerprints(&paths)).await else {
                continue;
            };
            if now != self.seen && now == last {
                self.seen = now;
                return;
            }
            last = now;
        }
    }
}

fn fingerprints(paths: &[PathBuf]) -> Vec<Option<Fingerprint>> {
    let fingerprint = |metadata: Metadata| Fingerprint {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        identity: identity(&metadata),
    };
    paths.iter().map(|path| path.metadata().ok().map(fingerprint)).collect()
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(unix)]
fn exposed_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = path.metadata().ok()?;
    let is_own = metadata.uid() == nix::unistd::geteuid().as_raw();
    let mode = metadata.mode() & 0o7777;
    is_exposed(mode, is_own).then_some(mode)
}

#[cfg(not(unix))]
fn exposed_mode(_: &Path) -> Option<u32> {
    None
}

/// If a file belongs to another user, this process may have access by the file's group, or by an access
/// control list, which appears in the permissions of the group: systemd (`LoadCredential=`) and Kubernetes
/// (`fsGroup`) provide secrets in this way.
#[cfg(unix)]
fn is_exposed(mode: u32, is_own: bool) -> bool {
    mode & if is_own { 0o077 } else { 0o007 } != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_1_mib_is_too_much() {
        assert_eq!(read_all(io::repeat(1).take(MAX_FILE as u64)).unwrap().len(), MAX_FILE);
        let error = read_all(io::repeat(1)).unwrap_err();
        assert_eq!(error.to_string(), "expected at most 1048576 bytes, found more");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_another_user_may_be_readable_by_its_group() {
        for (mode, own, anothers) in [
            (0o400, false, false),
            (0o600, false, false),
            (0o440, true, false),
            (0o640, true, false),
            (0o444, true, true),
            (0o602, true, true),
        ] {
            assert_eq!(
                (is_exposed(mode, true), is_exposed(mode, false)),
                (own, anothers),
                "{mode:o}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_reported_when_the_file_has_stayed_the_same_for_a_period() {
        let path = std::env::temp_dir().join(format!("file-watcher-{}", std::process::id()));
        std::fs::write(&path, "1").unwrap();
        let mut watcher = FileWatcher::new([path.clone()]);
        assert!(tokio::time::timeout(10 * PERIOD, watcher.changed()).await.is_err());
        std::fs::write(&path, "12").unwrap();
        // The file is written again after the change was seen once.
        let writing = async {
            sleep(PERIOD + PERIOD / 2).await;
            std::fs::write(&path, "123").unwrap();
        };
        let start = tokio::time::Instant::now();
        tokio::join!(watcher.changed(), writing);
        assert_eq!(start.elapsed().as_secs(), 3 * PERIOD.as_secs());
        std::fs::remove_file(&path).unwrap();
        watcher.changed().await;
        assert!(tokio::time::timeout(10 * PERIOD, watcher.changed()).await.is_err());
    }
}
