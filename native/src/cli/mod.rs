//! The command line and the environment.
//!
//! The grammar is that of the reference's docopt (requirements.md, S2), so that whatever starts the
//! reference starts this.

mod arguments;
mod error;
mod setting;
mod value;

#[cfg(test)]
mod tests;

pub use arguments::command;
pub use error::CliError;
pub(crate) use value::printable;

use crate::config::{Admission, Config, Deployment, Limits, Listen, SocketFile, TlsFiles};
use crate::credentials_file::CredentialsSource;
use crate::env::Environment;
use crate::health::Listening;
use crate::telemetry::build_info::{REVISION, VERSION};
use crate::telemetry::log::Logging;
use arguments::Arguments;
use setting::{ACCESS_TOKEN, CERTIFICATE, CLIENT_ID, Found, ROOT_URL};
use std::ffi::OsString;
use taskcluster_proxy_core::credentials::{Credentials, Scope};
use taskcluster_proxy_core::proxy::{HostPattern, RetryPolicy, RootUrl};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// To serve.
    Run(Box<Config>),
    /// To say what serving would find, and to exit with status 0 if it would work, 1 if not.
    Check(Box<Config>),
    /// To ask the proxy that listens like this for a sign of life.
    Health(Listening),
    /// To print this, and a line feed, on stdout and to exit with status 0.
    Print(String),
}

/// Reads the command line, the program's name first, and from the environment what is not on it.
///
/// # Errors
///
/// The command line cannot be read, or something is missing or not what it has to be. The message
/// is one line that names option and variable; it never repeats an accessToken or a certificate.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &impl Environment,
) -> Result<Command, CliError> {
    let arguments = arguments::read(args)?;
    if arguments.help {
        return Ok(Command::Print(arguments::help()));
    }
    if arguments.version {
        return Ok(Command::Print(version()));
    }
    if arguments.short_version {
        return Ok(Command::Print(VERSION.to_owned()));
    }
    if arguments.health {
        return health(&arguments).map(Command::Health);
    }
    let command = if arguments.check { Command::Check } else { Command::Run };
    config(arguments, env).map(|config| command(Box::new(config)))
}

fn version() -> String {
    match REVISION {
        Some(revision) => format!("Taskcluster proxy {VERSION} (git revision {revision})"),
        None => format!("Taskcluster proxy {VERSION}"),
    }
}

fn config(arguments: Arguments, env: &impl Environment) -> Result<Config, CliError> {
    let given = &arguments;
    let user = value::read("--allowed-user", &given.allowed_user, value::not_empty)?;
    let network = value::read("--allowed-network", &given.allowed_network, value::network)?;
    let task_id = value::read("--task-id", &given.task_id, value::not_empty)?;
    let drain = value::read("--credentials-drain", &given.credentials_drain, value::drain)?;
    let from = &given.credentials_from;
    let from = value::read("--credentials-from", from, value::credentials_from)?;
    let admin = value::read("--admin", &given.admin, value::admin)?;
    let logging = logging(given, env)?;
    Ok(Config {
        listen: listen(given)?,
        socket: socket(given)?,
        tls: tls(given)?,
        admission: Admission { user, network },
        credentials_from: from.unwrap_or_default(),
        reject_browsers: given.reject_browsers,
        allowed_hosts: allowed_hosts(&given.allow_host)?,
        scopes: scopes(&arguments.scopes)?,
        task_id,
        credentials_drain: drain.unwrap_or(value::DEFAULT_DRAIN),
        limits: limits(given)?,
        admin,
        logging,
        token_is_visible: given.access_token.as_ref().is_some_and(|token| !token.is_empty()),
        deployment: deployment(arguments, env)?,
    })
}

/// Its certificate alone tells the proxy: whoever asks need not be able to read the key.
fn health(given: &Arguments) -> Result<Listening, CliError> {
    let certificate = value::path("--tls-cert", given.tls_cert.clone())?;
    if certificate.is_none() {
        tls(given)?;
    }
    let socket = socket(given)?.map(|file| file.path);
    Ok(Listening { listen: listen(given)?, certificate, socket })
}

/// `None` where neither address nor port is given.
fn listen(given: &Arguments) -> Result<Option<Listen>, CliError> {
    let address = value::read("--ip-address", &given.ip_address, value::address)?;
    let port = value::read("--port", &given.port, value::port)?;
    let default = Listen::default();
    Ok((address.is_some() || port.is_some()).then(|| Listen {
        address: address.or(default.address),
        port: port.unwrap_or(default.port),
    }))
}

fn socket(given: &Arguments) -> Result<Option<SocketFile>, CliError> {
    let mode = value::read("--socket-mode", &given.socket_mode, value::mode)?;
    match (&given.socket, mode) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(CliError::invalid(
            "--socket-mode",
            "expected a --socket that it is for, found none: give one, or leave the option out",
        )),
        (Some(path), _) if path.is_empty() => value::not_empty("--socket", "").map(|_| None),
        (Some(path), mode) => Ok(Some(SocketFile {
            path: path.into(),
            mode: mode.unwrap_or(value::DEFAULT_SOCKET_MODE),
        })),
    }
}

fn tls(given: &Arguments) -> Result<Option<TlsFiles>, CliError> {
    let certificate = value::path("--tls-cert", given.tls_cert.clone())?;
    match (certificate, value::path("--tls-key", given.tls_key.clone())?) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(CliError::Alone("--tls-cert", "--tls-key")),
        (None, Some(_)) => Err(CliError::Alone("--tls-key", "--tls-cert")),
    }
}

/// The option goes before the variable, which many programs read.
fn logging(given: &Arguments, env: &impl Environment) -> Result<Logging, CliError> {
    let level = value::read("--log-level", &given.log_level, value::log_level)?;
    let format = value::read("--log-format", &given.log_format, value::log_format)?;
    let format = format.unwrap_or_default();
    let variable = env.get("RUST_LOG").and_then(|text| text.into_string().ok());
    Ok(match (level, variable) {
        (Some(level), _) => Logging::new(level.into(), format),
        (None, Some(text)) => {
            Logging::from_rust_log(&text, value::DEFAULT_LOG_LEVEL.into(), format)
        }
        (None, None) => Logging::new(value::DEFAULT_LOG_LEVEL.into(), format),
    })
}

fn limits(given: &Arguments) -> Result<Limits, CliError> {
    let connect = value::read("--connect-timeout", &given.connect_timeout, value::timeout)?;
    let head = value::read("--head-timeout", &given.head_timeout, value::timeout)?;
    let idle = &given.upstream_idle_timeout;
    let idle = value::read("--upstream-idle-timeout", idle, value::idle_timeout)?;
    let drain = value::read("--drain-timeout", &given.drain_timeout, value::drain)?;
    let budget = value::read("--retry-budget", &given.retry_budget, value::retry_budget)?;
    let each = value::read("--replay-buffer", &given.replay_buffer, value::kib)?;
    let all = value::read("--replay-total", &given.replay_total, value::kib)?;
    let connections = &given.max_connections;
    let connections = value::read("--max-connections", connections, value::connections)?;
    let default = Limits::default();
    Ok(Limits {
        connect_timeout: connect.unwrap_or(default.connect_timeout),
        head_timeout: head.unwrap_or(default.head_timeout),
        max_connections: connections.unwrap_or(default.max_connections),
        upstream_idle_timeout: idle.unwrap_or(default.upstream_idle_timeout),
        drain_timeout: drain.unwrap_or(default.drain_timeout),
        replay_each: each.unwrap_or(default.replay_each),
        replay_all: all.unwrap_or(default.replay_all),
        retries: RetryPolicy {
            budget: budget.unwrap_or(default.retries.budget),
            ..default.retries
        },
    })
}

fn allowed_hosts(given: &[OsString]) -> Result<Vec<HostPattern>, CliError> {
    const OPTION: &str = "--allow-host";
    given
        .iter()
        .map(|pattern| {
            let pattern = pattern.to_str().ok_or(CliError::NotUtf8(OPTION))?;
            HostPattern::parse(pattern).map_err(|error| CliError::invalid(OPTION, error))
        })
        .collect()
}

fn scopes(given: &[OsString]) -> Result<Vec<Scope>, CliError> {
    given
        .iter()
        .map(|scope| {
            let scope = scope.to_str().ok_or(CliError::NotUtf8("scope"))?;
            Scope::new(scope).map_err(|error| CliError::invalid("scope", error))
        })
        .collect()
}

fn deployment(given: Arguments, env: &impl Environment) -> Result<Deployment, CliError> {
    if given.sandbox {
        // What is in the environment is there for other programs, too; a flag is meant for this one.
        let flags = [
            (&given.root_url, ROOT_URL),
            (&given.client_id, CLIENT_ID),
            (&given.access_token, ACCESS_TOKEN),
            (&given.certificate, CERTIFICATE),
        ];
        let flags = flags.into_iter().map(|(flag, setting)| (flag, setting.option));
        let files = [(&given.credentials_file, FILE), (&given.credentials_fd, DESCRIPTOR)];
        return match flags.chain(files).find(|(flag, _)| flag.is_some()) {
            Some((_, option)) => Err(CliError::BesideSandbox(option)),
            None => Ok(Deployment::Sandbox),
        };
    }
    let root_url = ROOT_URL.required(given.root_url.clone(), env)?.parse(RootUrl::parse)?;
    Ok(Deployment::Taskcluster { root_url, credentials: credentials(given, env)? })
}

fn credentials(given: Arguments, env: &impl Environment) -> Result<CredentialsSource, CliError> {
    let descriptor = value::read(DESCRIPTOR, &given.credentials_fd, value::descriptor)?;
    let (source, option) = match (value::path(FILE, given.credentials_file)?, descriptor) {
        (Some(_), Some(_)) => return Err(CliError::TwoCredentials(FILE, DESCRIPTOR)),
        (Some(path), None) => (CredentialsSource::File(path), FILE),
        (None, Some(number)) => (CredentialsSource::Descriptor(number), DESCRIPTOR),
        (None, None) => {
            let client_id = CLIENT_ID.required(given.client_id, env)?.into_given();
            let access_token = ACCESS_TOKEN.required(given.access_token, env)?.into_given();
            let certificate = CERTIFICATE.find(given.certificate, env).map(Found::into_given);
            return Ok(CredentialsSource::Given(Credentials::given(
                client_id.as_str(),
                access_token.as_str(),
                certificate.unwrap_or_default().as_str(),
            )));
        }
    };
    // Which of the two was meant nobody can tell.
    for (flag, setting) in [
        (given.client_id, CLIENT_ID),
        (given.access_token, ACCESS_TOKEN),
        (given.certificate, CERTIFICATE),
    ] {
        if let Some(found) = setting.find(flag, env) {
            return Err(CliError::TwoCredentials(option, found.at));
        }
    }
    Ok(source)
}

const FILE: &str = "--credentials-file";
const DESCRIPTOR: &str = "--credentials-fd";
