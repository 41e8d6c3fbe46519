//! Opens the deployment: reads its credentials, or starts the embedded one.

use crate::app::Sandbox;
use crate::app::config::Deployment;
use crate::credentials::{CredentialsFile, CredentialsFileError};
use std::io;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;

/// The deployment to which requests are forwarded, and the credentials that sign them.
#[derive(Debug)]
pub struct OpenedDeployment {
    /// The embedded deployment, if it is used; it stops when this is dropped.
    pub sandbox: Option<Sandbox>,
    /// The root URL of the deployment.
    pub root_url: RootUrl,
    /// The credentials, without a restriction, and the file from which they were read, if any.
    pub credentials: Result<(Credentials, Option<CredentialsFile>), CredentialsFileError>,
}

/// The error if the embedded deployment cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot start: {0}")]
pub struct SandboxError(#[source] io::Error);

impl Deployment {
    /// Reads the credentials, or starts the embedded deployment.
    ///
    /// # Errors
    ///
    /// The embedded deployment cannot start, because no port of 127.0.0.1 is free or because it is not
    /// part of this build. An error of reading credentials is part of [`OpenedDeployment`].
    pub async fn open(&self) -> Result<OpenedDeployment, SandboxError> {
        match self {
            Self::Taskcluster { root_url, credentials } => Ok(OpenedDeployment {
                sandbox: None,
                root_url: root_url.clone(),
                credentials: credentials.read().await,
            }),
            Self::Sandbox => {
                let sandbox = Sandbox::start().await.map_err(SandboxError)?;
                let (root_url, credentials) = (sandbox.root_url(), sandbox.credentials());
                Ok(OpenedDeployment {
                    sandbox: Some(sandbox),
                    root_url,
                    credentials: Ok((credentials, None)),
                })
            }
        }
    }
}
