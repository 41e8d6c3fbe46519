//! Access to environment variables, which tests can replace.

use std::ffi::OsString;

/// A source of environment variables.
pub trait Environment {
    /// The value of the variable `name`; `None` if it is not set.
    fn get(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Environment for Process {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

#[cfg(test)]
impl Environment for std::collections::HashMap<&str, OsString> {
    fn get(&self, name: &str) -> Option<OsString> {
        std::collections::HashMap::get(self, name).cloned()
    }
}
