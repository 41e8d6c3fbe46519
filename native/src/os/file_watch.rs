//! Files that an operator names: read in whole, and read again when they change.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// The largest file that is read, in bytes: as much as `PUT /credentials` takes.
pub const MAX_FILE: usize = 1024 * 1024;

/// How often files are looked at. A change takes effect one to two of these later. Looking costs a
/// system call for each file; it works on every platform and every file system, where being told of
/// changes does not.
pub const PERIOD: Duration = Duration::from_secs(1);

/// All that is in the file, wiped when dropped.
///
/// # Errors
///
/// It cannot be read, or holds more than [`MAX_FILE`].
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_all(File::open(path)?)
}

/// All that comes until the end, wiped when dropped.
///
/// # Errors
///
/// It cannot be read, or is more than [`MAX_FILE`].
pub fn read_all(from: impl io::Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it: a buffer that grows leaves copies behind.
    let mut contents = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    from.take(MAX_FILE as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > MAX_FILE {
        let text = format!("expected at most {MAX_FILE} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(contents)
}

/// Warns of a file with secrets in it that others than this process's user can get at.
pub fn warn_if_exposed(option: &str, path: &Path) {
    if let Some(mode) = exposed_mode(path) {
        let path = path.display();
        tracing::warn!(
            "{option} {path:?}: others than its owner can get at it (mode {mode:04o}): chmod 600"
        );
    }
}

/// Files that are waited for to change.
#[derive(Debug)]
pub struct Changes {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Mark>>,
}

/// What changes with a file, whether it is written to, renamed over, or reached by another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    length: u64,
    identity: Option<(u64, u64)>,
}

impl Changes {
    /// Changes from now on: to be called before the files are read.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths: Vec<_> = paths.into_iter().collect();
        let seen = marks(&paths);
        Self { paths, seen }
    }

    /// Waits until the files differ from what they were the last time, and stay so for a
    /// [`PERIOD`]: what is being written is not read in the middle of it, and of a certificate and
    /// its key not one alone.
    pub async fn next(&mut self) {
        let mut last = self.seen.clone();
        loop {
            sleep(PERIOD).await;
            let paths = self.paths.clone();
            // A file system that hangs must not keep requests waiting.
            let Ok(now) = tokio::task::spawn_blocking(move || marks(&paths)).await else {
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

fn marks(paths: &[PathBuf]) -> Vec<Option<Mark>> {
    let mark = |metadata: Metadata| Mark {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        identity: identity(&metadata),
    };
    paths.iter().map(|path| path.metadata().ok().map(mark)).collect()
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

/// What is another user's can only be read by way of its group, or of an access control list, whose
/// rights stand in the group's place: so systemd (`LoadCredential=`) and Kubernetes (`fsGroup`) hand
/// secrets over.
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
    fn what_another_user_hands_over_may_be_read_by_its_group() {
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
    async fn a_change_counts_when_it_has_settled() {
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
