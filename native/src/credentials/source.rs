//! The sources of credentials: the command line, a file that is read again when it changes, or a file
//! descriptor.

use crate::credentials::Store;
use crate::os::file_watch::{self, FileWatcher};
use crate::telemetry::counted;
use crate::telemetry::metrics::{Metrics, Source, Update};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use taskcluster_proxy_core::credentials::{Credentials, JsonError};
use zeroize::Zeroizing;

/// The source of the credentials at the start.
#[derive(Debug)]
pub enum CredentialsSource {
    /// Credentials from the command line or the environment.
    Given(Credentials),
    /// `--credentials-file`, which is watched.
    File(PathBuf),
    /// `--credentials-fd`, an inherited descriptor, which is read once.
    Descriptor(u32),
}

/// The file of `--credentials-file`, watched for changes.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
    watcher: FileWatcher,
}

/// Why no credentials can be read from a file or a descriptor. Contains no secret.
#[derive(Debug, thiserror::Error)]
#[error("{from}: {reason}")]
pub struct CredentialsFileError {
    from: String,
    #[source]
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("expected a JSON object with clientId, accessToken and certificate: {0}")]
    Invalid(#[source] JsonError),
}

impl CredentialsSource {
    /// Reads the credentials, and returns the file to watch, if they are from one.
    ///
    /// # Errors
    ///
    /// The file or descriptor cannot be read, or does not contain credentials.
    pub async fn read(
        &self,
    ) -> Result<(Credentials, Option<CredentialsFile>), CredentialsFileError> {
        match self {
            Self::Given(credentials) => Ok((credentials.clone(), None)),
            Self::File(path) => {
                let watcher = FileWatcher::new([path.clone()]);
                let credentials = read(path).await?;
                Ok((credentials, Some(CredentialsFile { path: path.clone(), watcher })))
            }
            Self::Descriptor(number) => {
                let number = *number;
                let from = format!("--credentials-fd {number}");
                tracing::debug!("reading {from} to its end");
                let contents =
                    read_in_background(move || open(number).and_then(file_watch::read_all)).await;
                Ok((credentials(from, contents)?, None))
            }
        }
    }
}

impl CredentialsFile {
    /// Replaces the credentials in `store` when the file changes, as `PUT /credentials` does, and counts
    /// the updates. If the file contains no valid credentials, the current ones stay. Never ends.
    pub async fn follow(mut self, store: Arc<Store>, metrics: Arc<Metrics>) {
        loop {
            self.watcher.changed().await;
            match read(&self.path).await {
                Ok(credentials) => {
                    let client_id = credentials.client_id.clone();
                    let left = store.replace(credentials).await.left;
                    metrics.update(Source::File, Update::Taken);
                    let path = &self.path;
                    tracing::info!("new credentials from {path:?}: client {client_id}");
                    if left > 0 {
                        let requests = counted(left, "request keeps", "requests keep");
                        tracing::info!("{requests} the previous credentials");
                    }
                }
                Err(error) => {
                    metrics.update(Source::File, Update::Refused);
                    tracing::warn!("the credentials were not replaced: {error}");
                }
            }
        }
    }
}

async fn read(path: &Path) -> Result<Credentials, CredentialsFileError> {
    let file = path.to_owned();
    let contents = read_in_background(move || {
        file_watch::warn_if_exposed("--credentials-file", &file);
        file_watch::read(&file)
    });
    credentials(format!("--credentials-file {path:?}"), contents.await)
}

/// Reads in another thread: a pipe without a writer, or a file system that hangs, must not block requests
/// or signals.
async fn read_in_background(
    read: impl FnOnce() -> io::Result<Zeroizing<Vec<u8>>> + Send + 'static,
) -> io::Result<Zeroizing<Vec<u8>>> {
    tokio::task::spawn_blocking(read).await?
}

fn credentials(
    from: String,
    contents: io::Result<Zeroizing<Vec<u8>>>,
) -> Result<Credentials, CredentialsFileError> {
    let read = contents.map_err(Reason::Unreadable);
    read.and_then(|json| Credentials::from_json_strict(&json).map_err(Reason::Invalid))
        .map_err(|reason| CredentialsFileError { from, reason })
}

/// Opens a descriptor by its name in the file system, because using its number requires unsafe code.
#[cfg(unix)]
fn open(descriptor: u32) -> io::Result<File> {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    File::open(format!("{folder}/{descriptor}"))
}

#[cfg(not(unix))]
fn open(_: u32) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this platform has no numbered descriptors"))
}
