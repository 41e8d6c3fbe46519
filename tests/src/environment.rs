//! Environment variables of child processes and of the tests themselves.

use std::process::Command;

/// Removes the variables of this machine that could affect a test: those of Taskcluster, of HTTP
/// proxies, of root certificates, of logs and of systemd.
pub(crate) fn clear_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        let affects_tests = text.starts_with("TASKCLUSTER_")
            || text.starts_with("SSL_CERT_")
            || text.starts_with("LISTEN_")
            || text.ends_with("_PROXY")
            || text == "RUST_LOG"
            || text == "NOTIFY_SOCKET";
        if affects_tests {
            command.env_remove(name);
        }
    }
}

/// The number in this environment variable of the tests themselves, if it is set.
pub fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}: expected a number, found {value:?}")))
}
