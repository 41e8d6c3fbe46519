//! Options that environment variables can stand in for: newer workers use variables, older ones
//! flags (docs/compatibility.md, S4).

use super::CliError;
use crate::os::env::Environment;
use std::ffi::OsString;
use std::fmt::Display;
use zeroize::Zeroizing;

/// The root URL of the deployment.
pub(super) const ROOT_URL: OptionOrVariable = OptionOrVariable {
    what: "root URL",
    option: "--root-url",
    variables: ["TASKCLUSTER_ROOT_URL"].as_slice(),
};

/// The clientId of the credentials.
pub(super) const CLIENT_ID: OptionOrVariable = OptionOrVariable {
    what: "clientId",
    option: "--client-id",
    variables: ["TASKCLUSTER_CLIENT_ID"].as_slice(),
};

/// The accessToken of the credentials.
pub(super) const ACCESS_TOKEN: OptionOrVariable = OptionOrVariable {
    what: "accessToken",
    option: "--access-token",
    variables: ["TASKCLUSTER_ACCESS_TOKEN"].as_slice(),
};

/// The certificate of temporary credentials.
pub(super) const CERTIFICATE: OptionOrVariable = OptionOrVariable {
    what: "certificate",
    option: "--certificate",
    // The second is a misspelling in the Go program's documentation, which scripts follow.
    variables: ["TASKCLUSTER_CERTIFICATE", "TASKCLUSTER_CERITIFICATE"].as_slice(),
};

/// An option, and the environment variables that can be used instead.
#[derive(Clone, Copy)]
pub(super) struct OptionOrVariable {
    what: &'static str,
    pub(super) option: &'static str,
    variables: &'static [&'static str],
}

/// A value that is not empty, and where it was found.
pub(super) struct Found {
    value: OsString,
    pub(super) at: &'static str,
    instead: &'static str,
}

impl OptionOrVariable {
    /// The first value that is not empty: the flag's, then the variables'.
    pub(super) fn find(self, flag: Option<OsString>, env: &impl Environment) -> Option<Found> {
        let flag = flag.map(|value| (self.option, value));
        let variables = self.variables.iter().map(|name| Some((*name, env.get(name)?)));
        let found =
            std::iter::once(flag).chain(variables).flatten().find(|(_, value)| !value.is_empty());
        let (at, value) = found?;
        let instead = if at == self.option { self.variable() } else { self.option };
        Some(Found { value, at, instead })
    }

    /// The same for a value that is required.
    pub(super) fn required(
        self,
        flag: Option<OsString>,
        env: &impl Environment,
    ) -> Result<Found, CliError> {
        let Self { what, option, .. } = self;
        self.find(flag, env).ok_or(CliError::Missing { what, option, variable: self.variable() })
    }

    fn variable(self) -> &'static str {
        self.variables.first().copied().unwrap_or_default()
    }
}

impl Found {
    /// Parses the value by `read`. The error names the option and the variable, the one that was
    /// used first.
    pub(super) fn parse<T, E: Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, CliError> {
        let text = self.value.to_str().ok_or(CliError::NotUtf8(self.at))?;
        read(text)
            .map_err(|error| CliError::invalid(format!("{} (or {})", self.at, self.instead), error))
    }

    /// The text of a credential, which is not checked; what is not UTF-8 is replaced.
    pub(super) fn into_given(self) -> Zeroizing<String> {
        let text = self.value.into_string();
        Zeroizing::new(text.unwrap_or_else(|value| value.to_string_lossy().into_owned()))
    }
}
