//! Stands in for the embedded deployment in a build without the feature `sandbox`.

use std::io;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;

/// A deployment that is not in this build: there is no value of this type.
#[derive(Debug)]
pub enum Sandbox {}

impl Sandbox {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always: there is no sandbox in this build.
    pub async fn start() -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this program was built without it: build it with the feature \"sandbox\", or leave \
             --sandbox out",
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

    /// What to print at the start.
    pub fn introduction(&self, _proxy: &str) -> String {
        match *self {}
    }
}
