//! Credentials from a file, for places without a launcher that hands them over: read at the start,
//! and again whenever the file changes.

use crate::credentials::Store;
use crate::file::{self, Changes};
use crate::telemetry::metrics::{Metrics, Source, Update};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use taskcluster_proxy_core::credentials::{Credentials, JsonError};
use zeroize::Zeroizing;

/// Where the credentials of the start come from.
#[derive(Debug)]
pub enum CredentialsSource {
    /// The command line or the environment.
    Given(Credentials),
    /// `--credentials-file`, which is watched.
    File(PathBuf),
    /// `--credentials-fd`, an inherited descriptor, which is read once.
    Descriptor(u32),
}

/// A file that holds the credentials in force.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
    changes: Changes,
}

/// Why there are no credentials in a file, or in a descriptor. Without a secret.
#[derive(Debug, thiserror::Error)]
#[error("{from}: {reason}")]
pub struct CredentialsFileError {
    from: String,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("expected a JSON object with clientId, accessToken and certificate: {0}")]
    Invalid(JsonError),
}

impl CredentialsSource {
    /// The credentials, not yet restricted, and the file to follow, if they come from one.
    ///
    /// # Errors
    ///
    /// The file or descriptor cannot be read, or holds something else.
    pub async fn read(
        self,
    ) -> Result<(Credentials, Option<CredentialsFile>), CredentialsFileError> {
        match self {
            Self::Given(credentials) => Ok((credentials, None)),
            Self::File(path) => {
                let changes = Changes::of([path.clone()]);
                Ok((read(&path).await?, Some(CredentialsFile { path, changes })))
            }
            Self::Descriptor(number) => {
                let from = format!("--credentials-fd {number}");
                tracing::debug!("reading {from} to its end");
                let contents = aside(move || open(number).and_then(file::read_all)).await;
                Ok((credentials(from, contents)?, None))
            }
        }
    }
}

impl CredentialsFile {
    /// Puts in force in `store` what the file holds, whenever that changes, as `PUT /credentials`
    /// does, and counts it. What is no credentials leaves the old ones in force. Never ends.
    pub async fn follow(mut self, store: Arc<Store>, metrics: Arc<Metrics>) {
        loop {
            self.changes.next().await;
            match read(&self.path).await {
                Ok(credentials) => {
                    let client_id = credentials.client_id.clone();
                    let left = store.replace(credentials).await;
                    metrics.update(Source::File, Update::Taken);
                    let path = &self.path;
                    tracing::info!("new credentials from {path:?}: client {client_id}");
                    if left > 0 {
                        tracing::info!("{left} requests go on with the previous credentials");
                    }
                }
                Err(error) => {
                    metrics.update(Source::File, Update::Refused);
                    tracing::warn!("the credentials stay as they are: {error}");
                }
            }
        }
    }
}

async fn read(path: &Path) -> Result<Credentials, CredentialsFileError> {
    let there = path.to_owned();
    let contents = aside(move || {
        file::warn_if_exposed("--credentials-file", &there);
        file::read(&there)
    });
    credentials(format!("--credentials-file {path:?}"), contents.await)
}

/// In a thread of its own: a pipe that is not written to, or a file system that hangs, must keep
/// neither requests nor signals waiting.
async fn aside(
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

/// By its name in the file system: taking a number for an open descriptor would be unsafe.
#[cfg(unix)]
fn open(descriptor: u32) -> io::Result<File> {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    File::open(format!("{folder}/{descriptor}"))
}

#[cfg(not(unix))]
fn open(_: u32) -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this platform has no numbered descriptors"))
}
