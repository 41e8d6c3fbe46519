use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The real binary, built by cargo once in a test process; in a release build where the tests are
/// one themselves.
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
        .expect("cargo tells of an executable named taskcluster-proxy")
}

/// cargo with the environment of a shell. ring's build script looks at what cargo tells a test of
/// its package: with that, ring and all that needs it would be built anew, and again by the next
/// cargo of a shell.
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
