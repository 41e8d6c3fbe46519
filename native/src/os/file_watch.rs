//! Files that an operator names: read in whole, and watched for changes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// The largest file that is read, in bytes: as much as `PUT /credentials` takes.
pub const MAX_FILE: usize = 1024 * 1024;

/// How often files are checked. A change takes effect one to two periods later. A check costs a
/// system call for each file; it works on every platform and every file system, where notifications
/// do not.
pub const PERIOD: Duration = Duration::from_secs(1);

/// The contents of the file, zeroized when dropped.
///
/// # Errors
///
/// It cannot be read, or holds more than [`MAX_FILE`].
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_all(File::open(path)?)
}

/// Everything up to the end, zeroized when dropped.
///
/// # Errors
///
/// It cannot be read, or is more than [`MAX_FILE`].
pub fn read_all(from: impl io::Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // A buffer for all of it: one that grows leaves copies behind.
    let mut contents = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    from.take(MAX_FILE as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > MAX_FILE {
        let text = format!("expected at most {MAX_FILE} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(contents)
}

/// Warns of a file with secrets that other users than this process's can read.
pub fn warn_if_exposed(option: &str, path: &Path) {
    if let Some(mode) = exposed_mode(path) {
        let path = path.display();
        tracing::warn!(
            "{option} {path:?}: others than its owner can get at it (mode {mode:04o}): chmod 600"
        );
    }
}

/// Watches files for changes.
#[derive(Debug)]
pub struct Changes {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Fingerprint>>,
}

/// Differs when a file was written to, replaced, or is reached by another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<SystemTime>,
    length: u64,
    identity: Option<(u64, u64)>,
}

impl Changes {
    /// Watches from now on: to be called before the files are read.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths: Vec<_> = paths.into_iter().collect();
        let seen = fingerprints(&paths);
        Self { paths, seen }
    }

    /// Waits until the files have changed and stayed the same for a [`PERIOD`]: a file is not read
    /// while it is being written, nor a new certificate without its new key.
    pub async fn next(&mut self) {
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

/// A file of another user can only be read through its group, or an access control list, whose
/// rights appear as the group's: this is how systemd (`LoadCredential=`) and Kubernetes (`fsGroup`)
/// hand secrets over.
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
    async fn a_change_counts_when_the_file_has_settled() {
        let path = std::env::temp_dir().join(format!("changes-of-{}", std::process::id()));
        std::fs::write(&path, "1").unwrap();
        let mut changes = Changes::of([path.clone()]);
        assert!(tokio::time::timeout(10 * PERIOD, changes.next()).await.is_err());
        std::fs::write(&path, "12").unwrap();
        // Seen once; then it is written to again.
        let writing = async {
            sleep(PERIOD + PERIOD / 2).await;
            std::fs::write(&path, "123").unwrap();
        };
        let start = tokio::time::Instant::now();
        tokio::join!(changes.next(), writing);
        assert_eq!(start.elapsed().as_secs(), 3 * PERIOD.as_secs());
        std::fs::remove_file(&path).unwrap();
        changes.next().await;
        assert!(tokio::time::timeout(10 * PERIOD, changes.next()).await.is_err());
    }
}
