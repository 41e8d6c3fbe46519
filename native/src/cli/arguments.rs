//! The grammar of the command line.

use super::CliError;
use super::value::printable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;

/// The command line, values as they came. Without Debug: there are secrets among them.
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

    /// Add the scopes of this task: the queue is
    /// asked for them at the start.
    #[arg(short, long, value_name = "taskId", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) task_id: Option<OsString>,

    /// Where the deployment is, for example
    /// https://tc.example.com
    /// [env TASKCLUSTER_ROOT_URL]
    #[arg(long, value_name = "url", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) root_url: Option<OsString>,

    /// Whose credentials sign.
    /// [env TASKCLUSTER_CLIENT_ID]
    #[arg(long, value_name = "clientId", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) client_id: Option<OsString>,

    /// Their secret. Every local user can read
    /// flags: the variable keeps it better.
    /// [env TASKCLUSTER_ACCESS_TOKEN]
    #[arg(long, value_name = "token", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) access_token: Option<OsString>,

    /// What makes them temporary; none, or an
    /// empty one, for permanent ones.
    /// [env TASKCLUSTER_CERTIFICATE]
    #[arg(long, value_name = "json", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) certificate: Option<OsString>,

    /// Read them from this file, instead of the
    /// three above: a JSON object with clientId,
    /// accessToken and certificate. When it
    /// changes, what it holds takes effect.
    #[arg(long, value_name = "path", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) credentials_file: Option<OsString>,

    /// Read the same from this inherited file
    /// descriptor, once, to its end.
    #[arg(long, value_name = "number", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) credentials_fd: Option<OsString>,

    /// Sign for a small deployment within this
    /// program, to try things out. Instead of the
    /// six above; ignores their variables.
    #[arg(long, verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) sandbox: bool,

    /// Wait this long for requests in flight
    /// before PUT /credentials takes effect;
    /// fractions allowed, 0 for not at all, at
    /// most 3600. [default 5]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) credentials_drain: Option<OsString>,

    /// Take PUT /credentials from root alone,
    /// from the proxy's own user (same-user), or
    /// from any. [default any]
    #[arg(long, value_name = "who", verbatim_doc_comment, help_heading = DEPLOYMENT)]
    pub(super) credentials_from: Option<OsString>,

    /// Listen on this port; 0 for any free one.
    /// [default 8080]
    #[arg(short, long, value_name = "port", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) port: Option<OsString>,

    /// Listen on this address alone.
    /// [default all, IPv4 and IPv6]
    #[arg(short, long, value_name = "address", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) ip_address: Option<OsString>,

    /// Listen on a Unix socket here. Instead of
    /// TCP, unless --port or --ip-address is
    /// given as well.
    #[arg(long, value_name = "path", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) socket: Option<OsString>,

    /// The permissions of its file.
    /// [default 600]
    #[arg(long, value_name = "octal", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) socket_mode: Option<OsString>,

    /// Speak TLS over TCP, with this certificate;
    /// those of its issuers may follow it.
    /// [default plain HTTP]
    #[arg(long, value_name = "pem", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) tls_cert: Option<OsString>,

    /// Its private key. When the files change, new
    /// connections get what they hold.
    #[arg(long, value_name = "pem", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) tls_key: Option<OsString>,

    /// Accept connections of this user and of
    /// root alone. [default of everyone]
    #[arg(long, value_name = "name", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) allowed_user: Option<OsString>,

    /// Accept connections of root, of
    /// --allowed-user, and from containers with
    /// addresses in this network, for example
    /// 172.17.0.0/16. Listen on 127.0.0.1, too.
    #[arg(long, value_name = "cidr", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) allowed_network: Option<OsString>,

    /// Refuse requests of web pages, and to other
    /// Hosts than taskcluster, localhost and the
    /// address that is connected to.
    #[arg(long, verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) reject_browsers: bool,

    /// Let /<host>/<path> lead only here: to a
    /// name, to *.<name>, or to * for all. May be
    /// repeated. [default all but loopback,
    /// link-local and cloud metadata, which have
    /// to be named]. POST /bewit signs URLs of any
    /// host: it sends no request there.
    #[arg(long, value_name = "pattern", verbatim_doc_comment, help_heading = CONNECTIONS)]
    pub(super) allow_host: Vec<OsString>,

    /// Wait this long for a connection to an
    /// upstream. [default 10]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) connect_timeout: Option<OsString>,

    /// Wait this long for the head of a client's
    /// request, and as long for the next request
    /// on the same connection. [default 60]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) head_timeout: Option<OsString>,

    /// Serve this many connections at once; the
    /// next ones are answered 503. Fewer where the
    /// limit of open files is lower than twice
    /// that. [default 1000]
    #[arg(long, value_name = "number", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) max_connections: Option<OsString>,

    /// Keep idle connections to upstreams this
    /// long; 0 for not at all. [default 45]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) upstream_idle_timeout: Option<OsString>,

    /// Try again until this long after the first
    /// failure; 0 for never. [default 30]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) retry_budget: Option<OsString>,

    /// When told to stop (SIGTERM, SIGINT), wait
    /// this long for requests in flight; a second
    /// signal ends the wait. [default 30]
    #[arg(long, value_name = "seconds", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) drain_timeout: Option<OsString>,

    /// Keep this much of a request's body to send
    /// it again; what is longer is not tried again
    /// once some of it was sent. [default 1024]
    #[arg(long, value_name = "KiB", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) replay_buffer: Option<OsString>,

    /// The same for all requests together.
    /// [default 4096]
    #[arg(long, value_name = "KiB", verbatim_doc_comment, help_heading = LIMITS)]
    pub(super) replay_total: Option<OsString>,

    /// Log this and what is graver: error, warn,
    /// info, debug or trace. [env RUST_LOG]
    /// [default info]
    #[arg(long, value_name = "level", verbatim_doc_comment, help_heading = OPERATION)]
    pub(super) log_level: Option<OsString>,

    /// Log as text, or as json, an object a line.
    /// [default text]
    #[arg(long, value_name = "format", verbatim_doc_comment, help_heading = OPERATION)]
    pub(super) log_format: Option<OsString>,

    /// Serve /healthz, /readyz, /metrics, /status
    /// at <address>:<port> or unix:<path>, which
    /// should be out of the task's reach.
    /// [default nowhere]
    #[arg(long, value_name = "address", verbatim_doc_comment, help_heading = OPERATION)]
    pub(super) admin: Option<OsString>,

    /// Say what a start with these options would
    /// find, a line each: ok, or what to do. Change
    /// nothing; exit with 1 if it could not work.
    #[arg(long, verbatim_doc_comment, help_heading = OTHERS)]
    pub(super) check: bool,

    /// Ask a running proxy with the same --port,
    /// --ip-address, --socket and --tls-cert for a
    /// sign of life; exit with 0 if it gives one
    /// within 3 s, else 1.
    #[arg(long, verbatim_doc_comment, help_heading = OTHERS)]
    pub(super) health: bool,

    /// Print this.
    #[arg(short, long, verbatim_doc_comment, help_heading = OTHERS)]
    pub(super) help: bool,

    /// Print name, version and git revision.
    #[arg(long, verbatim_doc_comment, help_heading = OTHERS)]
    pub(super) version: bool,

    /// Print the version alone.
    #[arg(long, verbatim_doc_comment, help_heading = OTHERS)]
    pub(super) short_version: bool,
}

const DEPLOYMENT: &str = "Task, deployment and credentials";
const CONNECTIONS: &str = "Connections";
const LIMITS: &str = "Limits (seconds may have fractions)";
const OPERATION: &str = "Operation";
const OTHERS: &str = "Others";

const ABOUT: &str =
    "Signs a Taskcluster task's HTTP requests, so that the task has no credentials.";

const TEMPLATE: &str = "\
{about}

Usage: taskcluster-proxy [options] [<scope>...]

Requests are restricted to the scopes given and to those of --task-id. With
neither they may do whatever the credentials may.

{all-args}{after-help}";

const URL_FORMS: &str = "\
URLs, where the proxy is http://taskcluster:
  /api/<service>/<version>/<path>  to the service, below <root-url>/api
  /<service>/<version>/<path>      the same
  /<host>/<path>                   to https://<host>/<path>
  POST /bewit                      the body is a URL; the answer is it, signed
  PUT /credentials                 replaces the credentials

Exit status: 0 when it has ended as it should, 1 when it cannot start, 3 when
requests were cut off at the end.";

/// Splits the command line, the program's name first, into options and scopes.
///
/// # Errors
///
/// It does not keep to the grammar.
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

/// The command line that the program takes, for all that is written about it: its man page, and
/// what shells complete.
pub fn command() -> clap::Command {
    Arguments::command().mut_args(|arg| {
        let reference = REFERENCE.iter().find(|name| arg.get_long() == Some(**name));
        let arg = match reference {
            Some(name) => arg.aliases(unique_prefixes(name)),
            None => arg,
        };
        // Task ids may start with a hyphen, and so may tokens.
        let hyphens = !arg.is_positional() && matches!(arg.get_action(), ArgAction::Set);
        arg.allow_hyphen_values(hyphens)
    })
}

/// The long options of the reference. What was short for one of them alone stays so, whatever is
/// added here.
const REFERENCE: &[&str] = &[
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
    let others = move || REFERENCE.iter().filter(move |other| **other != name);
    (1..name.len())
        .filter_map(|length| name.get(..length))
        .filter(move |prefix| !others().any(|other| other.starts_with(prefix)))
}

/// Clap's error without its usage and hints, which take many lines, and without any value.
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
