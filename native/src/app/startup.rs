//! Starts the proxy. Everything that can fail is done before it accepts connections.

use super::announcement::announce;
use super::config::Config;
use super::deployment::SandboxError;
use super::prepared::Prepared;
use super::shutdown::Started;
use super::task_scopes::{self, TaskError};
use crate::admin::{self, AdminError, Status};
use crate::credentials::{CredentialsFileError, Store, expiry};
use crate::inbound::{InboundError, Inherited, ListenError, Listeners};
use crate::os::env::Process;
use crate::os::service_manager::{self, State};
use crate::outbound::UpstreamsError;
use crate::proxy::{CatchPanic, GuardError, Proxy};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The sandbox cannot start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsFileError),
    /// Requests to upstreams cannot be set up.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsError),
    /// Serving connections cannot be set up.
    #[error(transparent)]
    Inbound(#[from] InboundError),
    /// The owners of connections, on which `--credentials-from` depends, cannot be looked up.
    #[error(transparent)]
    CredentialsFrom(#[from] GuardError),
    /// The admin listener cannot listen.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The scopes of the task cannot be fetched.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The proxy cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system provides no signal handlers or random numbers.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Starts a proxy, which accepts connections while its `serving` is polled.
///
/// # Errors
///
/// A step of the start fails.
pub(super) async fn start(
    mut config: Config,
    inherited: Inherited,
) -> Result<Started<impl Future<Output = ()>>, StartError> {
    let Prepared { sandbox, credentials, upstreams, connections, guard, admin, metrics, drain } =
        Prepared::new(&mut config).await?;
    let (credentials, file) = credentials?;
    let (upstreams, connections, guard) = (upstreams?, connections?, guard?);

    // The admin listener responds during the following steps.
    let (root_url, task_id) = (upstreams.root_url.clone(), config.task_id.as_deref());
    let status = Status::starting(&root_url, task_id, &metrics, &drain, &upstreams.replay);
    let status = Arc::new(status);
    if let Some(listener) = admin {
        tokio::spawn(admin::serve(listener?, Arc::clone(&status)));
    }
    let outbound = &upstreams.outbound;
    let restriction =
        task_scopes::restriction(config.scopes, task_id, outbound, &root_url, Some(&credentials))
            .await?;

    let listeners = Listeners::open(&config.inbound, inherited).await?;
    announce(&listeners, &root_url, &credentials, &restriction.scopes, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, restriction, config.credentials_drain));
    drop(credentials);
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store), Arc::clone(&metrics)));
    }
    tokio::spawn(expiry::warn(store.watch()));
    status.serves(listeners.local_addrs(), &store);
    let aborted = drain.aborted_flag();
    let proxy = Proxy::new(&config.proxy, guard, upstreams, store, metrics, aborted)?;
    service_manager::notify(State::Ready, &Process);
    let serving = connections.serve(listeners, Rc::new(CatchPanic(proxy)));
    Ok(Started { serving, drain, drain_timeout: config.drain_timeout, sandbox })
}
