//! The program: a list of steps.

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy::admin;
use taskcluster_proxy::admin::Status;
use taskcluster_proxy::app::cli::{self, Command};
use taskcluster_proxy::app::config::Config;
use taskcluster_proxy::app::deployment::Opened;
use taskcluster_proxy::app::shutdown::{self, Started};
use taskcluster_proxy::app::{check, exit_code, health_check, task_scopes};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::credentials::expiry;
use taskcluster_proxy::inbound::{Admitter, Drain, Inbound, Inherited, Listeners, Tls};
use taskcluster_proxy::os::clock::Nonces;
use taskcluster_proxy::os::env::Process;
use taskcluster_proxy::os::process;
use taskcluster_proxy::os::service_manager::{self, State};
use taskcluster_proxy::outbound::{Origin, Outbound, ReplayBudget};
use taskcluster_proxy::proxy::CredentialsGuard;
use taskcluster_proxy::proxy::{AccessPolicy, CatchPanic, Proxy};
use taskcluster_proxy::telemetry::log;
use taskcluster_proxy::telemetry::metrics::Metrics;
use taskcluster_proxy_core::proxy::HostPolicy;
use tokio::runtime::LocalOptions;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os(), &Process) {
        Ok(command) => command,
        Err(error) => return exit_code::fail(&error),
    };
    if let Command::Run(config) | Command::Check(config) = &command {
        config.logging.clone().start();
        log::panics();
        log::warn_of_command_line(config);
        process::keep_memory_private();
    }
    let inherited = Inherited::take();
    // One thread: one proxy serves one task, and what it does is wait (docs/performance.md).
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return exit_code::fail(&error),
    };
    let ended = match command {
        Command::Run(config) => {
            runtime.block_on(shutdown::run(start(*config, inherited))).map(ExitCode::from)
        }
        Command::Check(config) => {
            Ok(exit_code::report(&runtime.block_on(check::run(*config, inherited))))
        }
        Command::Health(listening) => runtime
            .block_on(health_check::ask(&listening))
            .map(|text| exit_code::print(&text))
            .map_err(Into::into),
        Command::Print(text) => Ok(exit_code::print(&text)),
    };
    // A name that is still being looked up would hold up the end.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| exit_code::fail(error.as_ref()))
}

async fn start(
    config: Config,
    inherited: Inherited,
) -> Result<Started<impl Future<Output = ()>>, Box<dyn Error>> {
    let (limits, ids) = (config.limits, Nonces::new()?);
    let most_connections = process::room_for_connections(limits.max_connections);
    let Opened { sandbox, root_url, mut credentials, file } = config.deployment.open().await?;
    let origin = Arc::new(Origin::of_root_url(&root_url)?);
    let hosts = Arc::new(HostPolicy::new(config.allowed_hosts, origin.bare_host()));
    let (metrics, drain) = (Arc::new(Metrics::default()), Arc::new(Drain::default()));
    let replay = Arc::new(ReplayBudget::new(limits.replay_each, limits.replay_all));
    let outbound = Outbound::new(&limits, Arc::clone(&hosts), Arc::clone(&metrics))?;
    let admitter = Admitter::new(&config.admission)?;
    let tls = config.tls.map(Tls::load).transpose()?;
    let guard = CredentialsGuard::new(config.credentials_from)?;
    let policy =
        AccessPolicy { credentials: guard, hosts, reject_browsers: config.reject_browsers };

    // It answers while all that follows is still on its way.
    let task_id = config.task_id.as_deref();
    let status = Status::starting(&root_url, task_id, &metrics, &drain, &replay);
    let status = Arc::new(status);
    if let Some(address) = &config.admin {
        tokio::spawn(admin::serve(admin::Listener::bind(address)?, Arc::clone(&status)));
    }
    credentials.authorized_scopes =
        task_scopes::restriction(config.scopes, task_id, &outbound, &root_url).await?;

    let (listen, socket) = (config.listen.as_ref(), config.socket.as_ref());
    let listeners = Listeners::open(listen, socket, inherited, &config.admission).await?;
    log::announce(&listeners, &root_url, &credentials, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, config.credentials_drain));
    drop(credentials);
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store), Arc::clone(&metrics)));
    }
    tokio::spawn(expiry::warn(store.watch()));
    status.serves(listeners.local_addrs(), &store);
    service_manager::tell(State::Ready, &Process);
    let inbound = Inbound {
        listeners,
        tls,
        admitter,
        drain: Arc::clone(&drain),
        metrics: Arc::clone(&metrics),
        limits,
        max_connections: most_connections,
    };
    let proxy = Proxy {
        root_url,
        origin,
        store,
        policy,
        outbound,
        replay,
        drain: Arc::clone(&drain),
        metrics,
        ids,
    };
    let serving = inbound.serve(Rc::new(CatchPanic(proxy)));
    Ok(Started { serving, drain, patience: limits.drain_timeout, sandbox })
}
