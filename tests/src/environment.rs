use std::process::Command;

/// Takes away what the machine happens to have set and could decide a test: variables of
/// Taskcluster, of HTTP proxies, of root certificates, of logs and of systemd.
pub(crate) fn clear_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        let decides = text.starts_with("TASKCLUSTER_")
            || text.starts_with("SSL_CERT_")
            || text.starts_with("LISTEN_")
            || text.ends_with("_PROXY")
            || text == "RUST_LOG"
            || text == "NOTIFY_SOCKET";
        if decides {
            command.env_remove(name);
        }
    }
}

/// The number that a variable of the tests' own environment gives, if it is set.
pub fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}: expected a number, found {value:?}")))
}
