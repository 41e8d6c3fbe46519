//! Why a command line or an environment cannot be used.

use crate::telemetry::printable;
use std::fmt::Display;

/// Why the program cannot start: one line, without a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// An unknown option.
    #[error("unknown option {0} (see --help)")]
    Unknown(String),
    /// A prefix of more than one option.
    #[error("option {given} could be any of {candidates}: write it out (see --help)")]
    Ambiguous {
        /// The prefix.
        given: String,
        /// The options that begin with it.
        candidates: String,
    },
    /// An option that is given more than once.
    #[error("option {0} given more than once (see --help)")]
    Repeated(String),
    /// An option without the value that it needs.
    #[error("option {0} needs a value, found none (see --help)")]
    NoValue(String),
    /// An option with a value that it cannot have.
    #[error("option {0} takes no value, found one (see --help)")]
    UnwantedValue(String),
    /// The command line is malformed in another way.
    #[error("the command line cannot be read: {0} (see --help)")]
    Malformed(&'static str),
    /// Neither on the command line nor in the environment.
    #[error("no {what}: give {option}, or set {variable} in the environment (see --help)")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The option that gives it.
        option: &'static str,
        /// The environment variable that can be used instead.
        variable: &'static str,
    },
    /// Not UTF-8.
    #[error("{0}: expected text in UTF-8, found other bytes")]
    NotUtf8(&'static str),
    /// Not an address; in the Go program's words, which others test.
    #[error("invalid IPv4/IPv6 address specified - cannot parse: {0}")]
    Address(String),
    /// A number that is no port; in the Go program's words, which others test.
    #[error("port {0} is not in range [0,65535]")]
    PortRange(String),
    /// Not a number.
    #[error("port: expected a number in [0,65535], found \"{0}\"")]
    PortNumber(String),
    /// An option that contradicts `--sandbox`.
    #[error("--sandbox brings its own root URL and credentials: leave out {0}, or --sandbox")]
    BesideSandbox(&'static str),
    /// An option without the one that goes with it.
    #[error("{0}: expected {1} with it, found none: give both, or neither")]
    Alone(&'static str, &'static str),
    /// Credentials from two places.
    #[error("credentials from {0} and from {1}: leave one of them out")]
    TwoCredentials(&'static str, &'static str),
    /// Another invalid value.
    #[error("{name}: {reason}")]
    Invalid {
        /// The option, and the variable that can be used instead.
        name: String,
        /// What was expected, what was found, what to do.
        reason: String,
    },
}

impl CliError {
    pub(super) fn invalid(name: impl Into<String>, reason: impl Display) -> Self {
        Self::Invalid { name: name.into(), reason: printable(&reason.to_string()) }
    }
}
