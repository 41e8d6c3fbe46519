use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The real binary, built by cargo once in a test process; in a release build where the stories are
/// one themselves.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        // Cargo set these for the stories; build scripts that look at them (ring's) would take the
        // binary for another one than a plain `cargo build` makes, and build it anew each time.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["build", "--package", "taskcluster-proxy", "--message-format=json"])
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
