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

mod artifacts;
mod auth;
mod call;
mod claims;
mod compression;
mod content;
mod endpoint;
mod failure;
mod index;
mod object;
mod page;
mod payload;
mod queue;
mod random;
mod response;
mod secrets;
mod service;
mod state;
mod storage;
mod task;
#[cfg(test)]
mod tests;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use service::Deployment;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running deployment. It stops, and its connections close, when this is dropped.
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
    accepting: JoinHandle<()>,
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
        let deployment = Deployment::new(root_url.to_string(), credentials.clone())?;
        let accepting = tokio::spawn(accept(listener, Arc::new(deployment)));
        Ok(Self { root_url, credentials, accepting })
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
            state::SAMPLE_TASK
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

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Owns the connections, so that they end with it.
async fn accept(listener: TcpListener, deployment: Arc<Deployment>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&deployment)));
                }
                Err(error) => {
                    tracing::debug!(%error, "the sandbox cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, deployment: Arc<Deployment>) {
    // Responses are small and written at once; where this fails they are only slower.
    let _ = stream.set_nodelay(true);
    let response = service_fn(|request| {
        let deployment = Arc::clone(&deployment);
        async move { Ok::<_, Infallible>(deployment.response(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), response);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the sandbox broke");
    }
}

/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
