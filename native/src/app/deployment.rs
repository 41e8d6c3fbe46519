//! What stands behind the proxy, ready to be used.

use crate::app::Sandbox;
use crate::app::config::Deployment;
use crate::credentials::{CredentialsFile, CredentialsFileError};
use std::io;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;

/// Where requests go, and what signs them.
#[derive(Debug)]
pub struct Opened {
    /// The embedded deployment, if it is that; it stops when this is dropped.
    pub sandbox: Option<Sandbox>,
    /// Where the deployment is.
    pub root_url: RootUrl,
    /// What to sign with; not yet restricted.
    pub credentials: Credentials,
    /// The file that they are from, if they are from one.
    pub file: Option<CredentialsFile>,
}

/// Why there is no deployment to stand before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsFileError),
    /// The embedded deployment does not start.
    #[error("the sandbox cannot start: {0}")]
    Sandbox(#[from] io::Error),
}

impl Deployment {
    /// Reads credentials that are in a file, or starts the embedded deployment.
    ///
    /// # Errors
    ///
    /// There are no credentials in the file, or no port of 127.0.0.1 is free.
    pub async fn open(self) -> Result<Opened, OpenError> {
        match self {
            Self::Taskcluster { root_url, credentials } => {
                let (credentials, file) = credentials.read().await?;
                Ok(Opened { sandbox: None, root_url, credentials, file })
            }
            Self::Sandbox => {
                let sandbox = Sandbox::start().await?;
                let (root_url, credentials) = (sandbox.root_url(), sandbox.credentials());
                Ok(Opened { sandbox: Some(sandbox), root_url, credentials, file: None })
            }
        }
    }
}
