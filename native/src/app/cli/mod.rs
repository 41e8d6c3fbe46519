//! The command line and the environment.
//!
//! The grammar is that of the Go program's docopt (docs/compatibility.md, S2), so that its launchers can
//! start this program as well.

mod arguments;
mod error;
mod launchers;
mod value;

#[cfg(test)]
mod tests;

pub use error::CliError;
pub use launchers::command;

use crate::app::config::{Config, Deployment};
use crate::app::health_check::Listening;
use crate::credentials::CredentialsSource;
use crate::inbound::{self, Admission, Listen, SocketFile, TlsFiles};
use crate::os::env::Environment;
use crate::outbound;
use crate::proxy;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log::Logging;
use arguments::{Arguments, CredentialsOptions, ListeningOptions, LoggingOptions};
use launchers::{ACCESS_TOKEN, CERTIFICATE, CLIENT_ID, Found, ROOT_URL};
use std::ffi::OsString;
use std::path::PathBuf;
use taskcluster_proxy_core::credentials::Credentials;
use taskcluster_proxy_core::proxy::{RetryPolicy, RootUrl};
use tracing::Level;

/// The action that the command line requests.
#[derive(Debug)]
pub enum Command {
    /// Serve requests.
    Run(Box<Config>),
    /// Check whether the proxy would start, and exit with status 0 if it would, otherwise with 1.
    Check(Box<Config>),
    /// Check that the proxy that listens at these addresses responds.
    Health(Listening),
    /// Print this text on stdout, and exit with status 0.
    Print(String),
}

/// Parses the command line, which begins with the program's name, and reads options that it does not have
/// from the environment.
///
/// # Errors
///
/// The command line is malformed, or a value is missing or invalid. The message is one line that names the
/// option and the variable; it never contains an accessToken or a certificate.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &impl Environment,
) -> Result<Command, CliError> {
    let args: Vec<OsString> = args.into_iter().collect();
    let action = launchers::split(&args)?;
    if action.help {
        return Ok(Command::Print(help()));
    }
    if action.version {
        return Ok(Command::Print(version()));
    }
    if action.short_version {
        return Ok(Command::Print(VERSION.to_owned()));
    }
    let given = launchers::values(&args)?;
    if given.general.health {
        return health(given.listening).map(Command::Health);
    }
    let command = if given.general.check { Command::Check } else { Command::Run };
    config(given, env).map(|config| command(Box::new(config)))
}

/// The text of `--help`. Environment variables are on separate lines, because clap would write them beyond
/// column 80.
fn help() -> String {
    let mut command = command().mut_args(|arg| match (arg.get_help(), arg.get_env()) {
        (Some(help), Some(variable)) => {
            let help = format!("{help}\n[env: {}]", variable.display());
            arg.help(help).hide_env(true)
        }
        _ => arg,
    });
    command.render_help().to_string().trim_end().to_owned()
}

fn version() -> String {
    match REVISION {
        Some(revision) => format!("Taskcluster proxy {VERSION} (git revision {revision})"),
        None => format!("Taskcluster proxy {VERSION}"),
    }
}

fn config(given: Arguments, env: &impl Environment) -> Result<Config, CliError> {
    let Arguments { scopes, credentials, listening, access, limits, logging, .. } = given;
    let token = credentials.access_token.as_ref();
    Ok(Config {
        inbound: inbound::Config {
            listen: listen(&listening),
            socket: socket(listening.socket, listening.socket_mode)?,
            tls: tls(listening.tls_cert, listening.tls_key)?,
            admission: Admission { user: access.allowed_user, network: access.allowed_network },
            header_timeout: limits.head_timeout,
            max_connections: limits.max_connections,
        },
        proxy: proxy::Config {
            credentials_from: access.credentials_from,
            reject_browsers: access.reject_browsers,
        },
        outbound: outbound::Config {
            allowed_hosts: access.allow_host,
            connect_timeout: limits.connect_timeout,
            idle_timeout: limits.upstream_idle_timeout,
            max_connections: limits.max_connections,
            replay_buffer: limits.replay_buffer,
            replay_total: limits.replay_total,
            retries: RetryPolicy { budget: limits.retry_budget, ..RetryPolicy::default() },
        },
        logging: log(&logging, env),
        admin: logging.admin,
        scopes,
        credentials_drain: credentials.credentials_drain,
        drain_timeout: limits.drain_timeout,
        token_is_visible: token.is_some_and(|token| !token.is_empty()),
        task_id: credentials.task_id.clone(),
        deployment: deployment(credentials, env)?,
    })
}

/// The options of a health check. It recognizes the proxy by its certificate, and does not need the key.
fn health(given: ListeningOptions) -> Result<Listening, CliError> {
    let listen = listen(&given);
    let socket = socket(given.socket, given.socket_mode)?.map(|file| file.path);
    if given.tls_cert.is_none() {
        tls(None, given.tls_key)?;
    }
    Ok(Listening { listen, certificate: given.tls_cert, socket })
}

/// The TCP address to listen on; `None` if neither an address nor a port is given.
fn listen(given: &ListeningOptions) -> Option<Listen> {
    let default = Listen::default();
    (given.ip_address.is_some() || given.port.is_some()).then(|| Listen {
        address: given.ip_address.or(default.address),
        port: given.port.unwrap_or(default.port),
    })
}

fn socket(path: Option<PathBuf>, mode: Option<u16>) -> Result<Option<SocketFile>, CliError> {
    if path.is_none() && mode.is_some() {
        let why = "expected --socket as well, found none: give both, or leave this option out";
        return Err(CliError::invalid("--socket-mode", why));
    }
    Ok(path.map(|path| SocketFile { path, mode: mode.unwrap_or(DEFAULT_SOCKET_MODE) }))
}

/// Permits only the user who runs the proxy, and root.
const DEFAULT_SOCKET_MODE: u16 = 0o600;

fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, CliError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(CliError::Incomplete("--tls-cert", "--tls-key")),
        (None, Some(_)) => Err(CliError::Incomplete("--tls-key", "--tls-cert")),
    }
}

/// The option takes precedence over `RUST_LOG`, which many programs read.
fn log(given: &LoggingOptions, env: &impl Environment) -> Logging {
    let variable = env.get("RUST_LOG").and_then(|text| text.into_string().ok());
    let level = given.log_level.unwrap_or(DEFAULT_LOG_LEVEL).into();
    match (given.log_level, variable) {
        (None, Some(text)) => Logging::from_rust_log(&text, level, given.log_format),
        _ => Logging::new(level, given.log_format),
    }
}

/// Logs each request, but not its retries.
const DEFAULT_LOG_LEVEL: Level = Level::INFO;

fn deployment(given: CredentialsOptions, env: &impl Environment) -> Result<Deployment, CliError> {
    if given.sandbox {
        return Ok(Deployment::Sandbox);
    }
    let root_url = ROOT_URL.require(&given.root_url, env)?.parse(RootUrl::parse)?;
    Ok(Deployment::Taskcluster { root_url, credentials: credentials(given, env)? })
}

fn credentials(
    given: CredentialsOptions,
    env: &impl Environment,
) -> Result<CredentialsSource, CliError> {
    let (client_id, access_token) = (&given.client_id, &given.access_token);
    let certificate = CERTIFICATE.find(&given.certificate, env);
    let (option, source) = match (given.credentials_file, given.credentials_fd) {
        (Some(path), _) => ("--credentials-file", CredentialsSource::File(path)),
        (None, Some(number)) => ("--credentials-fd", CredentialsSource::Descriptor(number)),
        (None, None) => {
            return Ok(CredentialsSource::Given(Credentials::unchecked(
                CLIENT_ID.require(client_id, env)?.into_text().as_str(),
                ACCESS_TOKEN.require(access_token, env)?.into_text().as_str(),
                certificate.map(Found::into_text).unwrap_or_default().as_str(),
            )));
        }
    };
    // Credentials from two sources are ambiguous.
    let found = CLIENT_ID.find(client_id, env).or(ACCESS_TOKEN.find(access_token, env));
    match found.or(certificate) {
        Some(found) => {
            Err(CliError::AmbiguousCredentials(option.to_owned(), found.source.to_owned()))
        }
        None => Ok(source),
    }
}
