//! Errors of the command line and the environment: clap's errors on one line, without clap's usage, hints and
//! quoted values.

use super::launchers;
use crate::telemetry::printable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::fmt::Display;

/// Why the command line or the environment cannot be used: one line, without secrets.
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
    /// An option without its value.
    #[error("option {0} needs a value, found none (see --help)")]
    NoValue(String),
    /// A value for an option that has none.
    #[error("option {0} takes no value, found one (see --help)")]
    UnwantedValue(String),
    /// The command line is malformed in another way.
    #[error("the command line cannot be read: {0} (see --help)")]
    Malformed(&'static str),
    /// A required value that is neither on the command line nor in the environment.
    #[error("no {what}: give {option}, or set {variable} in the environment (see --help)")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The option that gives it.
        option: &'static str,
        /// The environment variable that can be used instead.
        variable: &'static str,
    },
    /// An invalid address. Other programs' tests contain this message of the Go program.
    #[error("invalid IPv4/IPv6 address specified - cannot parse: {0}")]
    Address(String),
    /// A number that is not a port. Other programs' tests contain this message of the Go program.
    #[error("port {0} is not in range [0,65535]")]
    PortRange(String),
    /// A port that is not a number.
    #[error("port: expected a number in [0,65535], found \"{0}\"")]
    PortNumber(String),
    /// An option that contradicts `--sandbox`.
    #[error("--sandbox has its own root URL and credentials: leave out {0}, or --sandbox")]
    SandboxConflict(String),
    /// One of two options that must be given together.
    #[error("{0}: expected {1} as well, found none: give both, or neither")]
    Incomplete(&'static str, &'static str),
    /// Credentials from two sources.
    #[error("credentials from {0} and from {1}: leave one of them out")]
    AmbiguousCredentials(String, String),
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
    pub(super) fn from_clap(error: &clap::Error) -> Self {
        let malformed = || Self::Malformed(error.kind().as_str().unwrap_or("unexpected"));
        let Some(option) = names(error, ContextKind::InvalidArg).next() else {
            return malformed();
        };
        match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::UnknownArgument, _) => Self::unknown(option),
            (ErrorKind::ArgumentConflict, _) => {
                let other = names(error, ContextKind::PriorArg).next().unwrap_or_default();
                Self::conflict(option, other)
            }
            (ErrorKind::TooManyValues, _) => Self::UnwantedValue(option),
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) => {
                match (values.split_last(), error.get(ContextKind::InvalidValue)) {
                    (Some((last, others)), Some(found)) => {
                        let others = others.join(", ");
                        let reason = format!("expected {others} or {last}, found \"{found}\"");
                        Self::invalid(option, reason)
                    }
                    _ => Self::NoValue(option),
                }
            }
            (ErrorKind::ValueValidation, _) => error.source().map_or_else(malformed, |reason| {
                let own = reason.downcast_ref::<Self>().cloned();
                own.unwrap_or_else(|| Self::invalid(option, reason))
            }),
            _ => malformed(),
        }
    }

    pub(super) fn invalid(name: impl Into<String>, reason: impl Display) -> Self {
        Self::Invalid { name: name.into(), reason: printable(&reason.to_string()) }
    }

    fn conflict(option: String, other: String) -> Self {
        const SANDBOX: &str = "--sandbox";
        match (option.as_str(), other.as_str()) {
            (option, other) if option == other => Self::Repeated(other.to_owned()),
            (SANDBOX, _) => Self::SandboxConflict(other),
            (_, SANDBOX) => Self::SandboxConflict(option),
            _ => Self::AmbiguousCredentials(option, other),
        }
    }

    fn unknown(given: String) -> Self {
        let long = given.strip_prefix("--").unwrap_or_default();
        // `--access-token<secret>`, without the space.
        if let Some(name) = SECRETS.iter().find(|name| long.starts_with(**name)) {
            return Self::Unknown(format!("--{name}..."));
        }
        let command = launchers::command();
        let candidates: Vec<String> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|name| !long.is_empty() && name.starts_with(long))
            .map(|name| format!("--{name}"))
            .collect();
        if candidates.is_empty() {
            return Self::Unknown(given);
        }
        Self::Ambiguous { given, candidates: candidates.join(", ") }
    }
}

/// The options whose values are never shown. The value of a file option may be the credentials by mistake.
const SECRETS: &[&str] = &["access-token", "certificate", "credentials-fd", "credentials-file"];

/// The names of arguments in an error: `--port` of `--port <port>`, `scope` of `[scope]...`.
fn names(error: &clap::Error, kind: ContextKind) -> impl Iterator<Item = String> {
    let options = match error.get(kind) {
        Some(ContextValue::String(option)) => std::slice::from_ref(option),
        Some(ContextValue::Strings(options)) => options,
        _ => &[],
    };
    options.iter().filter_map(|option| {
        let name = option.split([' ', '=']).next()?;
        let positional = name.strip_prefix('[').and_then(|name| name.strip_suffix("]..."));
        Some(printable(positional.unwrap_or(name)))
    })
}
