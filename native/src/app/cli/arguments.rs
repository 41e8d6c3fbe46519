//! The grammar of the command line.

use super::CliError;
use crate::telemetry::printable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;

/// The command line, its values not yet parsed. Without Debug: there are secrets among them.
#[derive(Parser)]
#[command(
    name = "taskcluster-proxy",
    about = ABOUT,
    help_template = TEMPLATE,
    after_help = URL_FORMS,
    infer_long_args = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(super) struct Arguments {
    /// The template explains them.
    #[arg(value_name = "scope", hide = true)]
    pub(super) scopes: Vec<OsString>,

    /// Root URL of the deployment, for example
    /// https://tc.example.com
    /// [env: TASKCLUSTER_ROOT_URL]
    #[arg(long, value_name = "url", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) root_url: Option<OsString>,

    /// clientId of the credentials.
    /// [env: TASKCLUSTER_CLIENT_ID]
    #[arg(long, value_name = "clientId", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) client_id: Option<OsString>,

    /// accessToken of the credentials. Every
    /// local user can read options: better set
    /// the variable.
    /// [env: TASKCLUSTER_ACCESS_TOKEN]
    #[arg(long, value_name = "token", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) access_token: Option<OsString>,

    /// Certificate of temporary credentials;
    /// empty for permanent ones.
    /// [env: TASKCLUSTER_CERTIFICATE]
    #[arg(long, value_name = "json", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) certificate: Option<OsString>,

    /// Read clientId, accessToken and certificate
    /// from this JSON file instead, and again
    /// whenever it changes.
    #[arg(long, value_name = "path", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) credentials_file: Option<OsString>,

    /// Read the same JSON once from this
    /// inherited file descriptor.
    #[arg(long, value_name = "number", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) credentials_fd: Option<OsString>,

    /// How long PUT /credentials waits for
    /// requests in flight. [default: 5]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) credentials_drain: Option<OsString>,

    /// Also allow the scopes of this task, which
    /// are fetched from the queue at the start.
    #[arg(short, long, value_name = "taskId", verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) task_id: Option<OsString>,

    /// Use a small deployment within this
    /// program, to try the proxy out, instead of
    /// a root URL and credentials.
    #[arg(long, verbatim_doc_comment, help_heading = CREDENTIALS)]
    pub(super) sandbox: bool,

    /// TCP port; 0 for any free one. [default: 8080]
    #[arg(short, long, value_name = "port", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) port: Option<OsString>,

    /// IP address to listen on.
    /// [default: all, IPv4 and IPv6]
    #[arg(short, long, value_name = "address", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) ip_address: Option<OsString>,

    /// Listen on this Unix socket; over TCP as well
    /// only with --port or --ip-address.
    #[arg(long, value_name = "path", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) socket: Option<OsString>,

    /// Permissions of the Unix socket's file.
    /// [default: 600]
    #[arg(long, value_name = "octal", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) socket_mode: Option<OsString>,

    /// Use TLS over TCP with this certificate chain.
    /// [default: plain HTTP]
    #[arg(long, value_name = "pem", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) tls_cert: Option<OsString>,

    /// Private key of the certificate. Both files
    /// are read again whenever they change.
    #[arg(long, value_name = "pem", verbatim_doc_comment, help_heading = LISTENING)]
    pub(super) tls_key: Option<OsString>,

    /// Only accept connections from this user and
    /// root. [default: any user]
    #[arg(long, value_name = "name", verbatim_doc_comment, help_heading = ACCESS)]
    pub(super) allowed_user: Option<OsString>,

    /// Only accept connections from root,
    /// --allowed-user, and containers with addresses
    /// in this network, for example 172.17.0.0/16.
    /// Also listens on 127.0.0.1.
    #[arg(long, value_name = "cidr", verbatim_doc_comment, help_heading = ACCESS)]
    pub(super) allowed_network: Option<OsString>,

    /// Who may send PUT /credentials: root, the
    /// proxy's own user (same-user), or any.
    /// [default: any]
    #[arg(long, value_name = "who", verbatim_doc_comment, help_heading = ACCESS)]
    pub(super) credentials_from: Option<OsString>,

    /// Refuse requests from web pages, and with
    /// other Hosts than taskcluster, localhost and
    /// the address that is connected to.
    #[arg(long, verbatim_doc_comment, help_heading = ACCESS)]
    pub(super) reject_browsers: bool,

    /// Only forward /<host>/<path> to this host, to
    /// those below *.<name>, or to all with *. Can be
    /// repeated. [default: all but loopback,
    /// link-local and cloud metadata addresses]
    #[arg(long, value_name = "pattern", verbatim_doc_comment, help_heading = ACCESS)]
    pub(super) allow_host: Vec<OsString>,

    /// How long connecting to an upstream may take.
    /// [default: 10]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) connect_timeout: Option<OsString>,

    /// How long a client may take to send a header
    /// section, and how long its connection may be
    /// idle. [default: 60]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) head_timeout: Option<OsString>,

    /// How long idle connections to upstreams are
    /// kept; 0 to keep none. [default: 45]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) upstream_idle_timeout: Option<OsString>,

    /// How long after the first failure a request is
    /// retried; 0 for no retries. [default: 30]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) retry_budget: Option<OsString>,

    /// How long requests in flight may take after
    /// SIGTERM, SIGINT or SIGHUP; a second signal
    /// aborts them. [default: 30]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) drain_timeout: Option<OsString>,

    /// Maximum of clients' connections; more get
    /// 503. Lower if the limit of open files is less
    /// than twice that. [default: 1000]
    #[arg(long, value_name = "number", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) max_connections: Option<OsString>,

    /// How much of a request body is kept for
    /// retries; a longer one is not retried once
    /// some of it was sent. [default: 1024]
    #[arg(long, value_name = "KiB", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) replay_buffer: Option<OsString>,

    /// The same for all requests together.
    /// [default: 4096]
    #[arg(long, value_name = "KiB", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) replay_total: Option<OsString>,

    /// Least severe level to log: error, warn, info,
    /// debug or trace. [env: RUST_LOG]
    /// [default: info]
    #[arg(long, value_name = "level", verbatim_doc_comment, help_heading = LOGGING)]
    pub(super) log_level: Option<OsString>,

    /// Format of the log: text, or json, an object a
    /// line. [default: text]
    #[arg(long, value_name = "format", verbatim_doc_comment, help_heading = LOGGING)]
    pub(super) log_format: Option<OsString>,

    /// Serve /healthz, /readyz, /metrics and /status
    /// at <address>:<port> or unix:<path>, which
    /// tasks should not be able to reach.
    /// [default: not served]
    #[arg(long, value_name = "address", verbatim_doc_comment, help_heading = LOGGING)]
    pub(super) admin: Option<OsString>,

    /// Check what a start with the same options
    /// would find, and print a line for each thing.
    /// Exit with 1 if the start would fail.
    #[arg(long, verbatim_doc_comment, help_heading = GENERAL)]
    pub(super) check: bool,

    /// Check that a proxy with the same --port,
    /// --ip-address, --socket and --tls-cert
    /// responds within 3 s. Exit with 1 if not.
    #[arg(long, verbatim_doc_comment, help_heading = GENERAL)]
    pub(super) health: bool,

    /// Print this help.
    #[arg(short, long, verbatim_doc_comment, help_heading = GENERAL)]
    pub(super) help: bool,

    /// Print name, version and git revision.
    #[arg(long, verbatim_doc_comment, help_heading = GENERAL)]
    pub(super) version: bool,

    /// Print only the version.
    #[arg(long, verbatim_doc_comment, help_heading = GENERAL)]
    pub(super) short_version: bool,
}

const CREDENTIALS: &str = "Credentials";
const LISTENING: &str = "Listening";
const ACCESS: &str = "Access control";
const LIMITS: &str = "Timeouts and limits (seconds may have fractions, at most 3600)";
const LOGGING: &str = "Logging and monitoring";
const GENERAL: &str = "General";

const ABOUT: &str =
    "Signs a Taskcluster task's HTTP requests, so that the task has no credentials.";

const TEMPLATE: &str = "\
{about}

Usage: taskcluster-proxy [options] [<scope>...]

Requests are restricted to the given scopes and those of --task-id. Without
either, they have all scopes of the credentials.

{all-args}{after-help}";

const URL_FORMS: &str = "\
URLs, if the proxy is http://taskcluster:
  /api/<service>/<version>/<path>  to the service, below <root-url>/api
  /<service>/<version>/<path>      the same
  /<host>/<path>                   to https://<host>/<path>
  POST /bewit                      responds with the URL in the body, signed
  PUT /credentials                 replaces the credentials

Exit status: 0 after a graceful shutdown, 1 if it cannot start, 3 if requests
were aborted at shutdown.";

/// Splits the command line, the program's name first, into options and scopes.
///
/// # Errors
///
/// It does not match the grammar.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, CliError> {
    command()
        .try_get_matches_from(args)
        .and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches))
        .map_err(|error| one_line(&error))
}

/// The text of `--help`.
pub(super) fn help() -> String {
    command().render_help().to_string().trim_end().to_owned()
}

/// The definition of the command line, from which the man page and the shells' completions are
/// written as well.
pub fn command() -> clap::Command {
    Arguments::command().mut_args(|arg| {
        let original = GO_OPTIONS.iter().find(|name| arg.get_long() == Some(**name));
        let arg = match original {
            Some(name) => arg.aliases(unique_prefixes(name)),
            None => arg,
        };
        // Task ids may start with a hyphen, and so may tokens.
        let hyphens = !arg.is_positional() && matches!(arg.get_action(), ArgAction::Set);
        arg.allow_hyphen_values(hyphens)
    })
}

/// The long options of the Go program. A prefix of only one of them keeps that meaning, whatever
/// options are added here.
const GO_OPTIONS: &[&str] = &[
    "access-token",
    "allowed-network",
    "allowed-user",
    "certificate",
    "client-id",
    "help",
    "ip-address",
    "port",
    "root-url",
    "short-version",
    "task-id",
    "version",
];

fn unique_prefixes(name: &'static str) -> impl Iterator<Item = &'static str> {
    let others = move || GO_OPTIONS.iter().filter(move |other| **other != name);
    (1..name.len())
        .filter_map(|length| name.get(..length))
        .filter(move |prefix| !others().any(|other| other.starts_with(prefix)))
}

/// Clap's error on one line, without its usage and hints, and without any value.
fn one_line(error: &clap::Error) -> CliError {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => name_alone(option),
        _ => return CliError::Malformed(error.kind().as_str().unwrap_or("unexpected")),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(option),
        ErrorKind::ArgumentConflict => CliError::Repeated(option),
        ErrorKind::InvalidValue => CliError::NoValue(option),
        ErrorKind::TooManyValues => CliError::UnwantedValue(option),
        kind => CliError::Malformed(kind.as_str().unwrap_or("unexpected")),
    }
}

/// `--port` of `--port <port>`.
fn name_alone(option: &str) -> String {
    option.split([' ', '=']).next().map(printable).unwrap_or_default()
}

fn unknown(given: String) -> CliError {
    let long = given.strip_prefix("--").unwrap_or_default();
    // `--access-token<secret>`, the blank forgotten.
    if let Some(name) = SECRETS.iter().find(|name| long.starts_with(**name)) {
        return CliError::Unknown(format!("--{name}..."));
    }
    let command = command();
    let candidates: Vec<String> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|name| !long.is_empty() && name.starts_with(long))
        .map(|name| format!("--{name}"))
        .collect();
    if candidates.is_empty() {
        return CliError::Unknown(given);
    }
    CliError::Ambiguous { given, candidates: candidates.join(", ") }
}

/// The options whose values are never shown.
const SECRETS: &[&str] = &["access-token", "certificate"];
