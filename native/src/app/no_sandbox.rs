//! Replaces the embedded deployment in a build without the feature `sandbox`.

use std::io;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;

/// The embedded deployment, which is not part of this build: the type has no values.
#[derive(Debug)]
pub enum Sandbox {}

impl Sandbox {
    /// Always returns an error.
    ///
    /// # Errors
    ///
    /// The sandbox is not part of this build.
    pub async fn start() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this program was built without it: build it with the feature \"sandbox\", or leave out \
             --sandbox",
        ))
    }

    /// The root URL of the deployment.
    pub fn root_url(&self) -> RootUrl {
        match *self {}
    }

    /// The credentials of its only client.
    pub fn credentials(&self) -> Credentials {
        match *self {}
    }

    /// The text to print at the start.
    pub fn introduction(&self, _proxy: &str) -> String {
        match *self {}
    }
}
