//! The start of a proxy: everything that can fail comes before it listens.

use super::announcement::announce;
use super::config::Config;
use super::deployment::{Opened, SandboxError};
use super::shutdown::Started;
use super::task_scopes::{self, TaskError};
use crate::admin::{self, AdminError, Status};
use crate::credentials::{CredentialsFileError, Store, expiry};
use crate::inbound::{self, Drain, Inbound, InboundError, Inherited, ListenError, Listeners};
use crate::os::env::Process;
use crate::os::process;
use crate::os::service_manager::{self, State};
use crate::outbound::{Upstreams, UpstreamsError};
use crate::proxy::{CatchPanic, CredentialsGuard, GuardError, Proxy};
use crate::telemetry::metrics::Metrics;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy_core::credentials::Signer;

/// Why the proxy does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsFileError),
    /// No request can be sent.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsError),
    /// Connections cannot be served as the options say.
    #[error(transparent)]
    Inbound(#[from] InboundError),
    /// The owners of connections, who may change the credentials, cannot be looked up.
    #[error(transparent)]
    CredentialsFrom(#[from] GuardError),
    /// The admin listener cannot listen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The scopes of the task are not known.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The proxy cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system does not give what every process needs: signals, randomness.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Starts a proxy, which serves once its `serving` is polled.
///
/// # Errors
///
/// Something that the options ask for is missing or fails.
pub(super) async fn start(
    config: Config,
    inherited: Inherited,
) -> Result<Started<impl Future<Output = ()>>, StartError> {
    let Config { mut inbound, proxy, mut outbound, .. } = config;
    let max_rejections = inbound::max_rejections(usize::MAX);
    inbound.max_connections =
        process::room_for_connections(inbound.max_connections, max_rejections);
    outbound.max_connections = inbound.max_connections;
    let Opened { sandbox, root_url, credentials } = config.deployment.open().await?;
    let (credentials, file) = credentials?;
    let (metrics, drain) = (Arc::new(Metrics::default()), Arc::new(Drain::default()));
    let upstreams = Upstreams::new(&outbound, root_url, &metrics)?;
    let connections = Inbound::new(&inbound, &drain, &metrics)?;
    let guard = CredentialsGuard::new(proxy.credentials_from)?;

    // The admin listener responds already during the steps that follow.
    let (root_url, task_id) = (upstreams.root_url.clone(), config.task_id.as_deref());
    let status = Status::starting(&root_url, task_id, &metrics, &drain, &upstreams.replay);
    let status = Arc::new(status);
    if let Some(address) = &config.admin {
        tokio::spawn(admin::serve(admin::Listener::bind(address)?, Arc::clone(&status)));
    }
    let signer = Signer::new(&credentials).ok();
    let (outbound, signer) = (&upstreams.outbound, signer.as_ref());
    let restriction =
        task_scopes::restriction(config.scopes, task_id, outbound, &root_url, signer).await?;

    let listeners = Listeners::open(&inbound, inherited).await?;
    announce(&listeners, &root_url, &credentials, &restriction.scopes, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, restriction, config.credentials_drain));
    drop(credentials);
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store), Arc::clone(&metrics)));
    }
    tokio::spawn(expiry::warn(store.watch()));
    status.serves(listeners.local_addrs(), &store);
    let proxy = Proxy::new(&proxy, guard, upstreams, store, metrics, drain.cut_off_flag())?;
    service_manager::tell(State::Ready, &Process);
    let serving = connections.serve(listeners, Rc::new(CatchPanic(proxy)));
    Ok(Started { serving, drain, drain_timeout: config.drain_timeout, sandbox })
}
