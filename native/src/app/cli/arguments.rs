//! The definition of the command line: scopes and options, their types, defaults and help.

use super::launchers::{ACCESS_TOKEN, CERTIFICATE, CLIENT_ID, ROOT_URL};
use super::value;
use crate::admin::Address;
use crate::proxy::CredentialsFrom;
use crate::telemetry::log::LogFormat;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use taskcluster_proxy_core::credentials::Scope;
use taskcluster_proxy_core::proxy::HostPattern;
use tracing::Level;

/// The command line. It does not implement `Debug`, because it contains secrets.
#[derive(Parser)]
#[command(
    name = "taskcluster-proxy",
    about = ABOUT,
    help_template = TEMPLATE,
    after_help = URL_FORMS,
    infer_long_args = true,
    hide_possible_values = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(super) struct Arguments {
    /// The scopes, which the template explains.
    #[arg(value_name = "scope", hide = true, value_parser = |text: &str| Scope::new(text))]
    pub(super) scopes: Vec<Scope>,

    #[command(flatten)]
    pub(super) credentials: CredentialsOptions,

    #[command(flatten)]
    pub(super) listening: ListeningOptions,

    #[command(flatten)]
    pub(super) access: AccessOptions,

    #[command(flatten)]
    pub(super) limits: LimitOptions,

    #[command(flatten)]
    pub(super) logging: LoggingOptions,

    #[command(flatten)]
    pub(super) general: GeneralOptions,
}

/// The deployment, the credentials and the scopes.
#[derive(Args)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialsOptions {
    /// Root URL of the deployment, for example
    /// https://tc.example.com
    #[arg(long, value_name = "url", verbatim_doc_comment)]
    #[arg(env = ROOT_URL.variable, hide_env_values = true)]
    pub(super) root_url: Option<OsString>,

    /// clientId of the credentials.
    #[arg(long, value_name = "clientId", verbatim_doc_comment)]
    #[arg(env = CLIENT_ID.variable, hide_env_values = true)]
    pub(super) client_id: Option<OsString>,

    /// accessToken of the credentials. All local
    /// users can read options, so the variable is
    /// safer.
    #[arg(long, value_name = "token", verbatim_doc_comment)]
    #[arg(env = ACCESS_TOKEN.variable, hide_env_values = true)]
    pub(super) access_token: Option<OsString>,

    /// Certificate of temporary credentials;
    /// empty for permanent ones.
    #[arg(long, value_name = "json", verbatim_doc_comment)]
    #[arg(env = CERTIFICATE.variable, hide_env_values = true)]
    pub(super) certificate: Option<OsString>,

    /// Read clientId, accessToken and certificate
    /// from this JSON file instead, and again
    /// whenever it changes.
    #[arg(long, value_name = "path", verbatim_doc_comment)]
    pub(super) credentials_file: Option<PathBuf>,

    /// Read the same JSON once from this
    /// inherited file descriptor.
    #[arg(long, value_name = "number", verbatim_doc_comment)]
    #[arg(value_parser = value::descriptor, conflicts_with = "credentials_file")]
    pub(super) credentials_fd: Option<u32>,

    /// How long PUT /credentials waits for
    /// requests in flight.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "5", value_parser = value::seconds(0.0, " (do not wait)"))]
    pub(super) credentials_drain: Duration,

    /// Also allow the scopes of this task, which
    /// are fetched from the queue at the start.
    #[arg(short, long, value_name = "taskId", verbatim_doc_comment)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) task_id: Option<String>,

    /// Use a small deployment within this
    /// program instead of a root URL and
    /// credentials, to try the proxy out.
    #[arg(long, conflicts_with_all = SANDBOX_CONFLICTS, verbatim_doc_comment)]
    pub(super) sandbox: bool,
}

/// Where to listen.
#[derive(Args)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListeningOptions {
    /// TCP port; 0 for any free one. [default: 8080]
    #[arg(short, long, value_name = "port", value_parser = value::port, verbatim_doc_comment)]
    pub(super) port: Option<u16>,

    /// IP address to listen on.
    /// [default: all, IPv4 and IPv6]
    #[arg(short, long, value_name = "address", value_parser = value::address, verbatim_doc_comment)]
    pub(super) ip_address: Option<IpAddr>,

    /// Listen on this Unix socket; over TCP as well
    /// only with --port or --ip-address.
    #[arg(long, value_name = "path", verbatim_doc_comment)]
    pub(super) socket: Option<PathBuf>,

    /// Permissions of the Unix socket's file.
    /// [default: 600]
    #[arg(long, value_name = "octal", value_parser = value::mode, verbatim_doc_comment)]
    pub(super) socket_mode: Option<u16>,

    /// Use TLS over TCP with this certificate chain.
    /// [default: plain HTTP]
    #[arg(long, value_name = "pem", verbatim_doc_comment)]
    pub(super) tls_cert: Option<PathBuf>,

    /// Private key of the certificate. Both files
    /// are read again whenever they change.
    #[arg(long, value_name = "pem", verbatim_doc_comment)]
    pub(super) tls_key: Option<PathBuf>,
}

/// Who may connect, and which requests are allowed.
#[derive(Args)]
#[command(next_help_heading = "Access control")]
pub(super) struct AccessOptions {
    /// Only accept connections from this user and
    /// root. [default: any user]
    #[arg(long, value_name = "name", verbatim_doc_comment)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) allowed_user: Option<String>,

    /// Only accept connections from root,
    /// --allowed-user, and containers with addresses
    /// in this network, for example 172.17.0.0/16.
    /// Also listens on 127.0.0.1.
    #[arg(long, value_name = "cidr", value_parser = value::network, verbatim_doc_comment)]
    pub(super) allowed_network: Option<IpNet>,

    /// Who may send PUT /credentials: root, the
    /// user who runs the proxy (same-user), or any
    /// client (any).
    #[arg(long, value_name = "who", verbatim_doc_comment)]
    #[arg(default_value = "any", value_parser = value::credentials_from())]
    pub(super) credentials_from: CredentialsFrom,

    /// Reject requests from web pages, and those
    /// whose Host is not taskcluster, localhost or
    /// the address of the proxy.
    #[arg(long, verbatim_doc_comment)]
    pub(super) reject_browsers: bool,

    /// Only forward /<host>/<path> to this host, to
    /// subdomains with *.<name>, or to all hosts with
    /// *. Can be repeated. [default: all but loopback,
    /// link-local and cloud metadata addresses]
    /// POST /bewit signs URLs of any host, because it
    /// sends no request there.
    #[arg(long, value_name = "pattern", value_parser = HostPattern::parse, verbatim_doc_comment)]
    pub(super) allow_host: Vec<HostPattern>,
}

/// Timeouts and limits.
#[derive(Args)]
#[command(next_help_heading = "Timeouts and limits (seconds may have fractions, at most 3600)")]
pub(super) struct LimitOptions {
    /// How long connecting to an upstream may take.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "10", value_parser = value::seconds(0.001, ""))]
    pub(super) connect_timeout: Duration,

    /// How long a client may take to send a header
    /// section, and how long its connection may be
    /// idle.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "60", value_parser = value::seconds(0.001, ""))]
    pub(super) head_timeout: Duration,

    /// How long idle connections to upstreams are
    /// kept; 0 to keep none.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "45", value_parser = value::seconds(0.0, " (keep none)"))]
    pub(super) upstream_idle_timeout: Duration,

    /// How long after the first failure a request is
    /// retried; 0 for no retries.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "30", value_parser = value::seconds(0.0, " (no retries)"))]
    pub(super) retry_budget: Duration,

    /// How long requests in flight may take after
    /// SIGTERM, SIGINT or SIGHUP; a second signal
    /// aborts them.
    #[arg(long, value_name = "seconds", verbatim_doc_comment)]
    #[arg(default_value = "30", value_parser = value::seconds(0.0, " (do not wait)"))]
    pub(super) drain_timeout: Duration,

    /// Maximum of clients' connections; further ones
    /// get 503. Lower if the limit of open files is
    /// less than twice this number.
    #[arg(long, value_name = "number", verbatim_doc_comment)]
    #[arg(default_value = "1000", value_parser = value::connections)]
    pub(super) max_connections: usize,

    /// How much of a request body is kept for
    /// retries. A request with a longer body is not
    /// retried after part of it was sent.
    #[arg(long, value_name = "KiB", verbatim_doc_comment)]
    #[arg(default_value = "1024", value_parser = value::kib)]
    pub(super) replay_buffer: usize,

    /// Maximum of this for all requests together.
    #[arg(long, value_name = "KiB", verbatim_doc_comment)]
    #[arg(default_value = "4096", value_parser = value::kib)]
    pub(super) replay_total: usize,
}

/// What the proxy reports about itself.
#[derive(Args)]
#[command(next_help_heading = "Logging and monitoring")]
pub(super) struct LoggingOptions {
    /// Least severe level to log: error, warn, info,
    /// debug or trace. [env: RUST_LOG]
    /// [default: info]
    #[arg(long, value_name = "level", value_parser = value::log_level(), verbatim_doc_comment)]
    pub(super) log_level: Option<Level>,

    /// Format of the log: text, or json with one
    /// object for each line.
    #[arg(long, value_name = "format", verbatim_doc_comment)]
    #[arg(default_value = "text", value_parser = value::log_format())]
    pub(super) log_format: LogFormat,

    /// Serve /healthz, /readyz, /metrics and /status
    /// at <address>:<port> or unix:<path>, which
    /// tasks should not be able to reach.
    /// [default: not served]
    #[arg(long, value_name = "address", value_parser = value::admin, verbatim_doc_comment)]
    pub(super) admin: Option<Address>,
}

/// Actions other than serving.
#[derive(Args)]
#[command(next_help_heading = "General")]
pub(super) struct GeneralOptions {
    /// Check whether the proxy would start with
    /// these options, and print a line for each
    /// check. Exit with 1 if one fails.
    #[arg(long, verbatim_doc_comment)]
    pub(super) check: bool,

    /// Check that a proxy with the same --port,
    /// --ip-address, --socket and --tls-cert
    /// responds within 3 s. Exit with 1 if not.
    #[arg(long, verbatim_doc_comment)]
    pub(super) health: bool,

    /// Print this help.
    #[arg(short, long, verbatim_doc_comment)]
    pub(super) help: bool,

    /// Print name, version and git revision.
    #[arg(long, verbatim_doc_comment)]
    pub(super) version: bool,

    /// Print only the version.
    #[arg(long, verbatim_doc_comment)]
    pub(super) short_version: bool,
}

/// The options that conflict with `--sandbox`. Their environment variables do not, because they may be set
/// for other programs.
const SANDBOX_CONFLICTS: [&str; 6] =
    ["root_url", "client_id", "access_token", "certificate", "credentials_file", "credentials_fd"];

const ABOUT: &str =
    "Signs a Taskcluster task's HTTP requests, so that the task has no credentials.";

const TEMPLATE: &str = "\
{about}

Usage: taskcluster-proxy [options] [<scope>...]

Requests are restricted to the given scopes and those of --task-id. Without
either, they are not restricted, and have all scopes of the credentials.

{all-args}{after-help}";

const URL_FORMS: &str = "\
URLs, if the proxy is http://taskcluster:
  /api/<service>/<version>/<path>  forwarded to the service, at <root-url>/api
  /<service>/<version>/<path>      the same
  /<host>/<path>                   forwarded to https://<host>/<path>
  POST /bewit                      signs the URL in the body
  PUT /credentials                 replaces the credentials

Exit status: 0 after a graceful shutdown, 1 if the proxy cannot start, 3 if
requests were aborted at shutdown.";
