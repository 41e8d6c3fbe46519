//! The program: a list of steps.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use taskcluster_proxy::check::{self, Report};
use taskcluster_proxy::cli::{self, Command};
use taskcluster_proxy::config::{Config, Deployment};
use taskcluster_proxy::credentials::Store;
use taskcluster_proxy::credentials_file::CredentialsFile;
use taskcluster_proxy::env::Process;
use taskcluster_proxy::sandbox::Sandbox;
use taskcluster_proxy::server::{self, Admitter};
use taskcluster_proxy::service::Service;
use taskcluster_proxy::upstream::{ReplayBudget, Upstream};
use taskcluster_proxy::{log, task};
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::RootUrl;
use tokio::signal;

fn main() -> ExitCode {
    let (config, checking) = match cli::parse(std::env::args_os(), &Process) {
        Ok(Command::Run(config)) => (*config, false),
        Ok(Command::Check(config)) => (*config, true),
        Ok(Command::Print(text)) => return print(&text),
        Err(error) => return fail(&error),
    };
    log::start(config.log_level);
    // One thread: one proxy serves one task, and what it does is wait (docs/performance.md).
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) if checking => report(&runtime.block_on(check::run(config))),
        Ok(runtime) => match runtime.block_on(run(config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.as_ref()),
        },
        Err(error) => fail(&error),
    }
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let limits = config.limits;
    let (sandbox, root_url, (mut credentials, file)) = deployment(config.deployment).await?;
    let upstream = Upstream::new(&limits)?;
    let admitter = Admitter::new(&config.admission)?;

    let mut scopes = config.scopes;
    if let Some(task_id) = &config.task_id {
        scopes.extend(task::fetch_scopes(&upstream, &root_url, task_id).await?);
    }
    // Neither scopes nor a task: no restriction. A task without scopes: none at all.
    credentials.authorized_scopes =
        (config.task_id.is_some() || !scopes.is_empty()).then_some(scopes);

    let listeners = server::bind(&config.listen, &config.admission).await?;
    log::announce(&listeners.local_addrs(), &root_url, &credentials, sandbox.as_ref());
    let store = Arc::new(Store::new(&credentials, config.credentials_drain));
    if let Some(file) = file {
        tokio::spawn(file.follow(Arc::clone(&store)));
    }
    let replay = ReplayBudget::new(limits.replay_each, limits.replay_all);
    let service = Service::new(root_url, store, upstream, replay);
    drop(credentials);
    tokio::select! {
        () = server::serve(listeners, admitter, Arc::new(service), &limits) => {}
        signal = stop_signal() => tracing::info!("stopped by {}", signal?),
    }
    Ok(())
}

/// Waits to be told to stop. As the first process of a container, nobody else would do that.
async fn stop_signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok("SIGTERM"),
            interrupted = signal::ctrl_c() => interrupted.map(|()| "SIGINT"),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await.map(|()| "Ctrl-C")
}

type Given = (Option<Sandbox>, RootUrl, (Credentials, Option<CredentialsFile>));

async fn deployment(deployment: Deployment) -> Result<Given, Box<dyn std::error::Error>> {
    match deployment {
        Deployment::Taskcluster { root_url, credentials } => {
            Ok((None, root_url, credentials.read()?))
        }
        Deployment::Sandbox => {
            let sandbox = Sandbox::start().await?;
            let (root_url, credentials) = (sandbox.root_url(), sandbox.credentials());
            Ok((Some(sandbox), root_url, (credentials, None)))
        }
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
