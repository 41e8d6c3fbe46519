//! The process: command line, configuration, start, check, health check, shutdown.

mod announcement;
pub mod check;
pub mod cli;
pub mod config;
pub mod deployment;
pub mod exit_code;
pub mod health_check;
#[cfg(not(feature = "sandbox"))]
mod no_sandbox;
mod prepared;
pub mod shutdown;
mod startup;
pub mod task_scopes;

#[cfg(not(feature = "sandbox"))]
pub(crate) use no_sandbox::Sandbox;
#[cfg(feature = "sandbox")]
pub(crate) use taskcluster_proxy_sandbox::Sandbox;

use crate::inbound::Inherited;
use crate::os::env::Process;
use crate::os::process;
use crate::telemetry::log;
use cli::Command;
use config::Config;
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::runtime::LocalOptions;

/// Runs the program: parses the command line, which begins with the program's name, and the environment,
/// and performs the requested action.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match cli::parse(arguments, &Process) {
        Ok(command) => command,
        Err(error) => return exit_code::fail(&error),
    };
    // The log is dropped last, so that the end of the program is logged as well.
    let mut _log = None;
    if let Command::Run(config) | Command::Check(config) = &command {
        _log = Some(config.logging.clone().start());
        log::panics();
        warn_of_command_line(config);
        process::keep_memory_private();
    }
    let inherited = Inherited::take();
    // One thread is enough: a proxy serves one task and mostly waits for IO (docs/decisions.md).
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return exit_code::fail(&error),
    };
    let code = match command {
        Command::Run(config) => {
            match runtime.block_on(shutdown::run(startup::start(*config, inherited))) {
                Ok(outcome) => outcome.into(),
                Err(error) => exit_code::fail(&error),
            }
        }
        Command::Check(config) => {
            exit_code::report(&runtime.block_on(check::run(*config, inherited)))
        }
        Command::Health(listening) => match runtime.block_on(health_check::check(&listening)) {
            Ok(text) => exit_code::print(&text),
            Err(error) => exit_code::fail(&error),
        },
        Command::Print(text) => exit_code::print(&text),
    };
    // A normal shutdown of the runtime would wait for a pending name resolution.
    runtime.shutdown_background();
    code
}

/// Warns of secrets on the command line.
fn warn_of_command_line(config: &Config) {
    if config.token_is_visible {
        tracing::warn!(
            "--access-token shows the accessToken to every local user: pass it in \
             TASKCLUSTER_ACCESS_TOKEN, with --credentials-file, or with PUT /credentials"
        );
    }
}
