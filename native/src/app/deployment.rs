//! The upstream deployment and its credentials, ready for use.

use crate::app::Sandbox;
use crate::app::config::Deployment;
use crate::credentials::{CredentialsFile, CredentialsFileError};
use std::io;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;

/// The deployment that requests are forwarded to, and the credentials that sign them.
#[derive(Debug)]
pub struct Opened {
    /// The embedded deployment, if that is used; it stops when this is dropped.
    pub sandbox: Option<Sandbox>,
    /// Where the deployment is.
    pub root_url: RootUrl,
    /// The credentials, not yet restricted, and the file that they are from, if they are from one.
    pub credentials: Result<(Credentials, Option<CredentialsFile>), CredentialsFileError>,
}

/// The embedded deployment does not start.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot start: {0}")]
pub struct SandboxError(#[source] io::Error);

impl Deployment {
    /// Reads credentials that are in a file, or starts the embedded deployment.
    ///
    /// # Errors
    ///
    /// The embedded deployment does not start: no port of 127.0.0.1 is free, or it is not in this
    /// build. Credentials that cannot be read are an error in `Opened`.
    pub async fn open(&self) -> Result<Opened, SandboxError> {
        match self {
            Self::Taskcluster { root_url, credentials } => Ok(Opened {
                sandbox: None,
                root_url: root_url.clone(),
                credentials: credentials.read().await,
            }),
            Self::Sandbox => {
                let sandbox = Sandbox::start().await.map_err(SandboxError)?;
                let (root_url, credentials) = (sandbox.root_url(), sandbox.credentials());
                Ok(Opened {
                    sandbox: Some(sandbox),
                    root_url,
                    credentials: Ok((credentials, None)),
                })
            }
        }
    }
}
