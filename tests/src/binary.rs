//! The proxy's binary, built by cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The real binary, built by cargo once per test process: a release build if the tests are one.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let output = cargo()
        .args(["build", "--quiet", "--package", "taskcluster-proxy", "--message-format=json"])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo build --package taskcluster-proxy: {}", output.status);
    let built = String::from_utf8_lossy(&output.stdout);
    built
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .find(|artifact| {
            artifact["target"]["name"] == "taskcluster-proxy"
                && artifact["target"]["kind"][0] == "bin"
        })
        .and_then(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        .expect("cargo reports an executable named taskcluster-proxy")
}

/// cargo without the variables that it sets for a test program. ring's build script depends on them:
/// with these, cargo would rebuild ring and everything that depends on it, and so would the next
/// cargo that is run in a shell.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}
