//! The program: a list of steps.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use taskcluster_proxy::check::{self, Report};
use taskcluster_proxy::cli::{self, Command};
use taskcluster_proxy::clock::Nonces;
use taskcluster_proxy::config::{Config, Listen};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::deployment::Opened;
use taskcluster_proxy::env::Process;
use taskcluster_proxy::metrics::Metrics;
use taskcluster_proxy::notify::{self, State};
use taskcluster_proxy::server::{
    self, Admitter, CredentialsGuard, Drain, Inherited, Listeners, Tls,
};
use taskcluster_proxy::service::{Gates, Service};
use taskcluster_proxy::stop::{self, End, Signals};
use taskcluster_proxy::upstream::{Origin, ReplayBudget, Upstream};
use taskcluster_proxy::{admin, expiry, health, log, process, task};
use taskcluster_proxy_core::proxy::HostPolicy;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(windows)]
fn main() -> ExitCode {
    taskcluster_proxy::windows_service::run(start)
}

#[cfg(not(windows))]
fn main() -> ExitCode {
    start()
}

fn start() -> ExitCode {
    let (config, checking) = match cli::parse(std::env::args_os(), &Process) {
        Ok(Command::Run(config)) => (*config, false),
        Ok(Command::Check(config)) => (*config, true),
        Ok(Command::Health(listen)) => return health(&listen),
        Ok(Command::Print(text)) => return print(&text),
        Err(error) => return fail(&error),
    };
    config.logging.clone().start();
    log::panics();
    log::warn_of_command_line(&config);
    process::keep_memory_private();
    let inherited = Inherited::take();
    // One thread: one proxy serves one task, and what it does is wait (docs/performance.md).
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) if checking => report(&runtime.block_on(check::run(config, inherited))),
        Ok(runtime) => {
            let ended = runtime.block_on(run(config, inherited));
            // A name that is still being looked up would hold up the end.
            runtime.shutdown_background();
            ended.map_or_else(|error| fail(error.as_ref()), ExitCode::from)
        }
        Err(error) => fail(&error),
    }
}

async fn run(config: Config, inherited: Inherited) -> Result<End, Box<dyn std::error::Error>> {
    let limits = config.limits;
    let most_connections = process::room_for_connections(limits.max_connections);
    let Opened { sandbox, root_url, mut credentials, file } = config.deployment.open().await?;
    let origin = Arc::new(Origin::of_root_url(&root_url));
    let hosts = Arc::new(HostPolicy::new(config.allowed_hosts, origin.bare_host()));
    let metrics = Arc::new(Metrics::default());
    let upstream = Upstream::new(&limits, Arc::clone(&hosts), Arc::clone(&metrics))?;
    let admitter = Admitter::new(&config.admission)?;
    let tls = config.tls.map(Tls::load).transpose()?;
    let gates = Gates {
        credentials: CredentialsGuard::new(config.credentials_from)?,
        hosts,
        reject_browsers: config.reject_browsers,
    };

    credentials.authorized_scopes =
        task::restriction(config.scopes, config.task_id.as_deref(), &upstream, &root_url).await?;

    // Before anybody hears that it listens: whoever does may want it to stop at once, and its sockets
    // are to be removed again.
    let signals = Signals::new()?;
    let (listen, socket) = (config.listen.as_ref(), config.socket.as_ref());
    let listeners = Listeners::open(listen, socket, inherited, &config.admission).await?;
    let admin = config.admin.as_ref().map(admin::Listener::bind).transpose()?;
    let addresses = listeners.local_addrs();
    log::announce(&listeners, &root_url, &credentials, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, config.credentials_drain));
    drop(credentials);
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store)));
    }
    let replay = Arc::new(ReplayBudget::new(limits.replay_each, limits.replay_all));
    let drain = Arc::new(Drain::default());
    tokio::spawn(expiry::warn(store.watch()));
    let service = Arc::new(Service {
        root_url,
        origin,
        store,
        gates,
        upstream,
        replay,
        drain: Arc::clone(&drain),
        metrics,
        ids: Nonces::new()?,
    });
    if let Some(listener) = admin {
        tokio::spawn(admin::serve(listener, admin::Status::of(&service, addresses)));
    }
    notify::tell(State::Ready, &Process);
    let serving = server::serve(listeners, tls, admitter, service, &limits, most_connections);
    let end = stop::serve_until_told(serving, signals, &drain, limits.drain_timeout).await;
    Ok(end)
}

fn health(listen: &Listen) -> ExitCode {
    match health::ask(listen) {
        Ok(healthy) => print(&healthy),
        Err(error) => fail(&error),
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that has gone away (`--help | head -1`) is no failure.
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

fn report(report: &Report) -> ExitCode {
    match print(&report.to_string()) {
        ExitCode::SUCCESS if report.is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// One line on stderr: whoever started the proxy shows it to a person.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "taskcluster-proxy: {error}");
    ExitCode::FAILURE
}
