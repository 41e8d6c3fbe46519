//! The program: a list of steps.

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use taskcluster_proxy::admin::Status;
use taskcluster_proxy::cli::{self, Command};
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::Config;
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::deployment::Opened;
use taskcluster_proxy::env::Process;
use taskcluster_proxy::inbound::{
    Admitter, CredentialsGuard, Drain, Inbound, Inherited, Listeners, Tls,
};
use taskcluster_proxy::notify::{self, State};
use taskcluster_proxy::outbound::{Origin, Outbound, ReplayBudget};
use taskcluster_proxy::proxy::{AccessPolicy, CatchPanic, Proxy};
use taskcluster_proxy::stop::{self, Started};
use taskcluster_proxy::telemetry::log;
use taskcluster_proxy::telemetry::metrics::Metrics;
use taskcluster_proxy::{admin, announce, check, exit, expiry, health, process, task};
use taskcluster_proxy_core::proxy::HostPolicy;
use tokio::runtime::LocalOptions;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(windows)]
fn main() -> ExitCode {
    taskcluster_proxy::windows_service::run(program)
}

#[cfg(not(windows))]
fn main() -> ExitCode {
    program()
}

fn program() -> ExitCode {
    let command = match cli::parse(std::env::args_os(), &Process) {
        Ok(command) => command,
        Err(error) => return exit::fail(&error),
    };
    // Dropped last: the end of the program is logged, too.
    let mut _log = None;
    if let Command::Run(config) | Command::Check(config) = &command {
        _log = Some(config.logging.clone().start());
        log::panics();
        announce::warn_of_command_line(config);
        process::keep_memory_private();
    }
    let inherited = Inherited::take();
    // One thread: one proxy serves one task, and what it does is wait (docs/performance.md).
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return exit::fail(&error),
    };
    let ended = match command {
        Command::Run(config) => {
            runtime.block_on(stop::run(start(*config, inherited))).map(ExitCode::from)
        }
        Command::Check(config) => {
            Ok(exit::report(&runtime.block_on(check::run(*config, inherited))))
        }
        Command::Health(listening) => runtime
            .block_on(health::ask(&listening))
            .map(|text| exit::print(&text))
            .map_err(Into::into),
        Command::Print(text) => Ok(exit::print(&text)),
    };
    // A name that is still being looked up would hold up the end.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| exit::fail(error.as_ref()))
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
        task::restriction(config.scopes, task_id, &outbound, &root_url).await?;

    let (listen, socket) = (config.listen.as_ref(), config.socket.as_ref());
    let listeners = Listeners::open(listen, socket, inherited, &config.admission).await?;
    announce::announce(&listeners, &root_url, &credentials, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, config.credentials_drain));
    drop(credentials);
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store), Arc::clone(&metrics)));
    }
    tokio::spawn(expiry::warn(store.watch()));
    status.serves(listeners.local_addrs(), &store);
    notify::tell(State::Ready, &Process);
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
    Ok(Started { serving, drain, drain_timeout: limits.drain_timeout, sandbox })
}
