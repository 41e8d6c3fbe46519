//! The behaviour that launchers of the Go program rely on and that clap does not have: docopt's grammar
//! (docs/compatibility.md, S2), and empty variables that count as unset (S4).
//!
//! - A prefix of one of the Go program's options keeps its meaning, whatever options are added.
//! - Values may begin with a hyphen, as task ids do.
//! - The whole command line is split before values are parsed: `--port x --help` prints the help.
//! - Newer launchers set variables, older ones give options. Some always give all of them, with empty values
//!   for those that they do not need; clap would use an empty value.

use super::CliError;
use super::arguments::{Arguments, GeneralOptions};
use crate::os::env::Environment;
use clap::builder::{OsStringValueParser, Resettable, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches};
use std::ffi::OsString;
use std::fmt::Display;
use zeroize::Zeroizing;

/// The definition of the command line, from which the man page and shell completions are generated as well.
pub fn command() -> Command {
    Arguments::command().mut_args(|arg| {
        let of_go = GO_OPTIONS.iter().find(|name| arg.get_long() == Some(**name));
        let hyphens = !arg.is_positional() && matches!(arg.get_action(), ArgAction::Set);
        arg.aliases(of_go.into_iter().flat_map(|name| unique_prefixes(name)))
            .allow_hyphen_values(hyphens)
    })
}

/// Splits the command line, which begins with the program's name, and returns the options that choose the
/// action.
///
/// # Errors
///
/// The command line does not match the grammar, or a value is not valid UTF-8.
pub(super) fn split(args: &[OsString]) -> Result<GeneralOptions, CliError> {
    let split = without_variables().mut_args(untyped).try_get_matches_from(args);
    read(split)
}

/// Parses the values of a command line that [`split`] accepts.
///
/// # Errors
///
/// A value is invalid.
pub(super) fn values(args: &[OsString]) -> Result<Arguments, CliError> {
    let values = without_variables().try_get_matches_from(args);
    read(values).map_err(|error| match error {
        // The value is empty: without one the command line could not be split.
        CliError::NoValue(option) => CliError::invalid(option, EMPTY),
        error => error,
    })
}

fn read<T: FromArgMatches>(matches: Result<ArgMatches, clap::Error>) -> Result<T, CliError> {
    let read = matches.and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    read.map_err(|error| CliError::from_clap(&error))
}

/// clap does not read the environment: [`OptionOrVariable::find`] does.
fn without_variables() -> Command {
    command().mut_args(|arg| arg.env(Resettable::Reset))
}

/// Accepts any text, and any bytes for a path or a credential.
fn untyped(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let bytes = [ValueParser::os_string(), ValueParser::path_buf()];
    match bytes.iter().any(|parser| parser.type_id() == arg.get_value_parser().type_id()) {
        true => arg.value_parser(ValueParser::os_string()),
        false => arg.value_parser(
            OsStringValueParser::new().try_map(|value| value.into_string().map_err(|_| NOT_UTF8)),
        ),
    }
}

const EMPTY: &str = "expected a value, found an empty one: give one, or leave the option out";

const NOT_UTF8: &str = "expected text in UTF-8, found other bytes";

/// The long options of the Go program.
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

/// The root URL of the deployment.
pub(super) const ROOT_URL: OptionOrVariable =
    OptionOrVariable { what: "root URL", option: "--root-url", variable: "TASKCLUSTER_ROOT_URL" };

/// The clientId of the credentials.
pub(super) const CLIENT_ID: OptionOrVariable =
    OptionOrVariable { what: "clientId", option: "--client-id", variable: "TASKCLUSTER_CLIENT_ID" };

/// The accessToken of the credentials.
pub(super) const ACCESS_TOKEN: OptionOrVariable = OptionOrVariable {
    what: "accessToken",
    option: "--access-token",
    variable: "TASKCLUSTER_ACCESS_TOKEN",
};

/// The certificate of temporary credentials.
pub(super) const CERTIFICATE: OptionOrVariable = OptionOrVariable {
    what: "certificate",
    option: "--certificate",
    variable: "TASKCLUSTER_CERTIFICATE",
};

/// A misspelling in the Go program's documentation, which some scripts use.
const MISSPELT_CERTIFICATE: &str = "TASKCLUSTER_CERITIFICATE";

/// An option, and the environment variable that can be used instead.
#[derive(Clone, Copy)]
pub(super) struct OptionOrVariable {
    what: &'static str,
    option: &'static str,
    pub(super) variable: &'static str,
}

/// A value that is not empty, and its source.
pub(super) struct Found {
    value: OsString,
    /// The option or variable that contains the value.
    pub(super) source: &'static str,
    /// The variable or option that can be used instead.
    alternative: &'static str,
}

impl OptionOrVariable {
    /// The first value that is not empty: the option's, then the variable's.
    pub(super) fn find(self, given: &Option<OsString>, env: &impl Environment) -> Option<Found> {
        let Self { option, variable, .. } = self;
        let misspelt = (variable == CERTIFICATE.variable).then_some(MISSPELT_CERTIFICATE);
        let read = |name| Some((name, option, env.get(name)?));
        let given = given.clone().map(|value| (option, variable, value));
        let variables = [Some(variable), misspelt].into_iter().flatten().filter_map(read);
        let mut all = given.into_iter().chain(variables);
        let (source, alternative, value) = all.find(|(_, _, value)| !value.is_empty())?;
        Some(Found { value, source, alternative })
    }

    /// Like [`Self::find`], for a value that is required.
    pub(super) fn require(
        self,
        given: &Option<OsString>,
        env: &impl Environment,
    ) -> Result<Found, CliError> {
        let Self { what, option, variable } = self;
        self.find(given, env).ok_or(CliError::Missing { what, option, variable })
    }
}

impl Found {
    /// Parses the value with `parse`. The error names the option and the variable, beginning with the one
    /// that was used.
    pub(super) fn parse<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, CliError> {
        let text = self.value.to_str().ok_or_else(|| CliError::invalid(self.source, NOT_UTF8))?;
        let name = || format!("{} (or {})", self.source, self.alternative);
        parse(text).map_err(|error| CliError::invalid(name(), error))
    }

    /// The text of a credential. It is not validated, because the services decide whether to accept it. Bytes
    /// that are not UTF-8 are replaced.
    pub(super) fn into_text(self) -> Zeroizing<String> {
        let text = self.value.into_string();
        Zeroizing::new(text.unwrap_or_else(|value| value.to_string_lossy().into_owned()))
    }
}
