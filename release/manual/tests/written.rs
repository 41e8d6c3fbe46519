//! groff and the shells can read the man page and the completions, which contain every option.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail with a message, or report that they are skipped"
)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::{env, fs};
use taskcluster_proxy::command;

#[test]
fn the_page_has_every_option_and_no_errors_for_groff() {
    let manual = Manual::new("page");
    let path = manual.0.join("taskcluster-proxy.1");
    let page = fs::read_to_string(&path).unwrap();
    for option in command().get_arguments().filter_map(clap::Arg::get_long) {
        let option = format!(r"\-\-{}\fR", option.replace('-', r"\-"));
        assert!(page.contains(&option), "{option}");
    }
    // The names of the variables are in the page, but not their values when it was written.
    assert!(page.contains("TASKCLUSTER_ACCESS_TOKEN\\fR environment variable"), "{page}");
    assert!(!page.contains("canary"), "{page}");
    let groff = ["-man", "-Tutf8", "-ww", "-rHY=0", "-rLL=78n"];
    let Some(output) = run(Command::new("groff").args(groff).arg(&path)) else { return };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("/<host>/<path>                   forwarded to https://<host>/<path>"),
        "{text}"
    );
}

#[test]
fn bash_completes_options_and_values() {
    let manual = Manual::new("bash");
    let script = r#"
        set -u
        source "$1"
        COMP_WORDS=(taskcluster-proxy --credentials-d) COMP_CWORD=1 COMPREPLY=()
        _taskcluster__proxy taskcluster-proxy --credentials-d taskcluster-proxy
        echo "${COMPREPLY[@]}"
        COMP_WORDS=(taskcluster-proxy --log-format "") COMP_CWORD=2 COMPREPLY=()
        _taskcluster__proxy taskcluster-proxy "" --log-format
        echo "${COMPREPLY[@]}"
        complete -p taskcluster-proxy"#;
    let completions = manual.0.join("completions/taskcluster-proxy.bash");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(completions);
    let Some(output) = run(&mut bash) else { return };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("--credentials-drain\ntext json\n"), "{printed}");
    assert!(printed.contains("-F _taskcluster__proxy"), "{printed}");
}

#[test]
fn zsh_and_fish_can_read_their_completions() {
    let manual = Manual::new("shells");
    for (shell, file) in [("zsh", "_taskcluster-proxy"), ("fish", "taskcluster-proxy.fish")] {
        let file = manual.0.join("completions").join(file);
        let Some(output) = run(Command::new(shell).arg("-n").arg(file)) else { continue };
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

/// Checks only the text, as `tests/run` does not install PowerShell.
#[test]
fn powershell_completions_offer_every_option() {
    let manual = Manual::new("powershell");
    let path = manual.0.join("completions/_taskcluster-proxy.ps1");
    let script = fs::read_to_string(path).unwrap();
    for option in command().get_arguments().filter_map(clap::Arg::get_long) {
        assert!(script.contains(&format!("[CompletionResult]::new('--{option}'")), "{option}");
    }
}

/// The output of a program; `None`, which is reported, if it is not installed.
fn run(command: &mut Command) -> Option<Output> {
    let output = command.stdin(Stdio::null()).output();
    if output.is_err() {
        eprintln!("skipped: no {}", command.get_program().display());
    }
    output.ok()
}

/// A temporary directory with all files that the program writes.
struct Manual(PathBuf);

impl Manual {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("proxy-manual-{name}-{}", std::process::id()));
        let program = env!("CARGO_BIN_EXE_taskcluster-proxy-manual");
        let status = Command::new(program)
            .arg(&path)
            .env("TASKCLUSTER_ACCESS_TOKEN", "canary")
            .status()
            .expect("the program runs");
        assert!(status.success(), "{status}");
        Self(path)
    }
}

impl Drop for Manual {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
