//! A Taskcluster deployment in memory, to try the proxy with and to test it against.
//!
//! It serves the API methods of the auth, queue, secrets, index and object services that a task is likely
//! to call, on its own loopback port. Signatures, certificates and scopes are verified as by the auth
//! service, so a request that is accepted here would be accepted there. It is not for production: nothing
//! outlives the process, the accessToken of the only client is public, and tasks are never executed.
//!
//! Not implemented: task dependencies and deadlines, the expiry of claims, roles, pulse messages, artifacts
//! of more than 10 MiB, and artifacts with storage types other than `s3`, `reference` and `redirect`.

mod api;
mod artifacts;
mod auth;
mod body;
mod caller;
mod claims;
mod content;
mod deployment;
mod failure;
mod index;
mod object;
mod page;
mod payload;
mod queue;
mod random;
mod records;
mod secrets;
mod storage;
mod task;
#[cfg(test)]
mod tests;

use axum::serve::ListenerExt as _;
use deployment::Deployment;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A running deployment. It stops when this is dropped: it accepts no more connections, finishes the
/// requests in flight, and closes its connections.
///
/// ```
/// use taskcluster_proxy_sandbox::Sandbox;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sandbox = Sandbox::start().await?;
/// assert!(sandbox.root_url().to_string().starts_with("http://127.0.0.1:"));
/// assert_eq!(sandbox.credentials().client_id.as_str(), "tester");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    root_url: RootUrl,
    credentials: Credentials,
    /// Dropping this stops the deployment.
    _running: oneshot::Sender<()>,
}

impl Sandbox {
    /// Starts a deployment on a free port of 127.0.0.1, within the current tokio runtime.
    ///
    /// # Errors
    ///
    /// The port cannot be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let root_url = RootUrl::parse(&format!("http://{}", listener.local_addr()?))
            .map_err(io::Error::other)?;
        let credentials = auth::tester()?;
        let deployment = Deployment::new(root_url.to_string(), credentials.clone());
        let router = api::router(Arc::new(deployment.map_err(io::Error::other)?));
        // Responses are small and written at once. If the option cannot be set, they are only slower.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (running, stopped) = oneshot::channel();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // This ends with an error when the sender is dropped, because nothing is ever sent.
            let _ = stopped.await;
        });
        tokio::spawn(serving.into_future());
        Ok(Self { root_url, credentials, _running: running })
    }

    /// The root URL of the deployment.
    pub fn root_url(&self) -> RootUrl {
        self.root_url.clone()
    }

    /// The credentials of the only client, which has all scopes: `tester` with the accessToken `no-secret`.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// A text to print at the start of a proxy for this deployment: an explanation and three commands to
    /// try, in a line each. `proxy` are the arguments with which curl reaches the proxy.
    pub fn introduction(&self, proxy: &str) -> String {
        let root_url = &self.root_url;
        let artifact = format!(
            "/api/queue/v1/task/{}/runs/0/artifacts/SampleArtifacts%2F_%2FX.txt",
            records::SAMPLE_TASK
        );
        format!(
            "This proxy uses an embedded Taskcluster deployment at {root_url}, which is for trying \
             it out and loses all its data when it stops.\n\
             curl {proxy}{artifact}\n\
             curl --data {root_url}{artifact} {proxy}/bewit\n\
             curl {proxy}/api/auth/v1/scopes/current"
        )
    }
}
