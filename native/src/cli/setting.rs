//! What comes by flag or by environment: newer workers use the environment, older ones flags
//! (requirements.md, S4).

use super::CliError;
use crate::env::Environment;
use std::ffi::OsString;
use std::fmt::Display;
use zeroize::Zeroizing;

/// Where the deployment is.
pub(super) const ROOT_URL: Setting = Setting {
    what: "root URL",
    option: "--root-url",
    variables: ["TASKCLUSTER_ROOT_URL"].as_slice(),
};

/// Who signs.
pub(super) const CLIENT_ID: Setting = Setting {
    what: "clientId",
    option: "--client-id",
    variables: ["TASKCLUSTER_CLIENT_ID"].as_slice(),
};

/// What it proves that with.
pub(super) const ACCESS_TOKEN: Setting = Setting {
    what: "accessToken",
    option: "--access-token",
    variables: ["TASKCLUSTER_ACCESS_TOKEN"].as_slice(),
};

/// What makes temporary credentials valid.
pub(super) const CERTIFICATE: Setting = Setting {
    what: "certificate",
    option: "--certificate",
    // The second as the reference's documentation spells it, and so scripts that follow it.
    variables: ["TASKCLUSTER_CERTIFICATE", "TASKCLUSTER_CERITIFICATE"].as_slice(),
};

/// A name on the command line, and those in the environment that stand in for it.
#[derive(Clone, Copy)]
pub(super) struct Setting {
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

impl Setting {
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

    /// The same of what the program cannot do without.
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
    /// What `read` makes of it. The error names both places, the one where it was found first.
    pub(super) fn parse<T, E: Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, CliError> {
        let text = self.value.to_str().ok_or(CliError::NotUtf8(self.at))?;
        read(text)
            .map_err(|error| CliError::invalid(format!("{} (or {})", self.at, self.instead), error))
    }

    /// The text of a credential, which is taken as it is; what is not UTF-8 is replaced.
    pub(super) fn into_given(self) -> Zeroizing<String> {
        let text = self.value.into_string();
        Zeroizing::new(text.unwrap_or_else(|value| value.to_string_lossy().into_owned()))
    }
}
