//! The program: a list of steps.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use taskcluster_proxy::admin::Status;
use taskcluster_proxy::cli::{self, Command};
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::Config;
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::deployment::Opened;
use taskcluster_proxy::env::Process;
use taskcluster_proxy::metrics::Metrics;
use taskcluster_proxy::notify::{self, State};
use taskcluster_proxy::server::{
    self, Admitter, CredentialsGuard, Drain, Inherited, Listeners, Tls,
};
use taskcluster_proxy::service::{Gates, Service};
use taskcluster_proxy::stop::{self, Started};
use taskcluster_proxy::upstream::{Origin, ReplayBudget, Upstream};
use taskcluster_proxy::{admin, check, exit, expiry, health, log, process, task};
use taskcluster_proxy_core::proxy::HostPolicy;

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
    if let Command::Run(config) | Command::Check(config) = &command {
        config.logging.clone().start();
        log::panics();
        log::warn_of_command_line(config);
        process::keep_memory_private();
    }
    let inherited = Inherited::take();
    // One thread: one proxy serves one task, and what it does is wait (docs/performance.md).
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
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
    let origin = Arc::new(Origin::of_root_url(&root_url));
    let hosts = Arc::new(HostPolicy::new(config.allowed_hosts, origin.bare_host()));
    let (metrics, drain) = (Arc::new(Metrics::default()), Arc::new(Drain::default()));
    let replay = Arc::new(ReplayBudget::new(limits.replay_each, limits.replay_all));
    let upstream = Upstream::new(&limits, Arc::clone(&hosts), Arc::clone(&metrics))?;
    let admitter = Admitter::new(&config.admission)?;
    let tls = config.tls.map(Tls::load).transpose()?;
    let guard = CredentialsGuard::new(config.credentials_from)?;
    let gates = Gates { credentials: guard, hosts, reject_browsers: config.reject_browsers };

    // It answers while all that follows is still on its way.
    let task_id = config.task_id.as_deref();
    let status = Status::starting(&root_url, task_id, &metrics, &drain, &replay);
    let status = Arc::new(status);
    if let Some(address) = &config.admin {
        tokio::spawn(admin::serve(admin::Listener::bind(address)?, Arc::clone(&status)));
    }
    credentials.authorized_scopes =
        task::restriction(config.scopes, task_id, &upstream, &root_url).await?;

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
    notify::tell(State::Ready, &Process);
    let drained = Arc::clone(&drain);
    let service =
        Service { root_url, origin, store, gates, upstream, replay, drain: drained, metrics, ids };
    let service = Arc::new(service);
    let serving = server::serve(listeners, tls, admitter, service, limits, most_connections);
    Ok(Started { serving, drain, patience: limits.drain_timeout, sandbox })
}
