//! A Taskcluster deployment in memory, to try the proxy with and to test it against.
//!
//! It serves the parts of the auth, queue, secrets, index and object services that a task is likely
//! to call, on a loopback port of its own. Every signature, certificate and scope is checked as the
//! auth service does, so what passes here passes there. It is not for work: nothing outlives the
//! process, the one client's accessToken is public, and no task is ever executed.
//!
//! Not modelled: task dependencies and deadlines, claims that run out, roles, pages of lists,
//! pulse messages, artifacts of more than 10 MiB, and those of other storage types than `s3`,
//! `reference` and `redirect`.

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

/// A running deployment. When this is dropped, it stops: it accepts no more connections, requests in
/// progress finish, and its connections close.
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
    /// Dropped with the rest, which is the signal to stop.
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
        // Responses are small and written at once; where this fails they are only slower.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (running, stopped) = oneshot::channel();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // It ends with an error, for nothing is ever sent.
            let _ = stopped.await;
        });
        tokio::spawn(serving.into_future());
        Ok(Self { root_url, credentials, _running: running })
    }

    /// Where it is.
    pub fn root_url(&self) -> RootUrl {
        self.root_url.clone()
    }

    /// Its only client: `tester` with the accessToken `no-secret`, which may do everything.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// What to print at the start of a proxy that curl reaches at `proxy` and that stands before this
    /// deployment: what it is, and three commands to try, a line each.
    pub fn introduction(&self, proxy: &str) -> String {
        let root_url = &self.root_url;
        let artifact = format!(
            "/api/queue/v1/task/{}/runs/0/artifacts/SampleArtifacts%2F_%2FX.txt",
            records::SAMPLE_TASK
        );
        format!(
            "This proxy stands before an embedded Taskcluster deployment at {root_url}, which is \
             for trying it out and forgets everything when it stops.\n\
             curl {proxy}{artifact}\n\
             curl --data {root_url}{artifact} {proxy}/bewit\n\
             curl {proxy}/api/auth/v1/scopes/current"
        )
    }
}
