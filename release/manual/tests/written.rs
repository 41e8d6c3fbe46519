//! What is written can be read: by groff, by the shells, by whoever looks for an option.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "how a test fails, or is skipped")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::{env, fs};
use taskcluster_proxy::command;

#[test]
fn the_page_has_every_option_and_groff_nothing_to_complain_of() {
    let written = Written::new("page");
    let path = written.0.join("taskcluster-proxy.1");
    let page = fs::read_to_string(&path).unwrap();
    for option in command().get_arguments().filter_map(clap::Arg::get_long) {
        let option = format!(r"\-\-{}\fR", option.replace('-', r"\-"));
        assert!(page.contains(&option), "{option}");
    }
    // Which variables there are depends on nobody's environment; their values are nobody's business.
    assert!(page.contains("TASKCLUSTER_ACCESS_TOKEN\\fR environment variable"), "{page}");
    assert!(!page.contains("canary"), "{page}");
    let groff = ["-man", "-Tutf8", "-ww", "-rHY=0", "-rLL=78n"];
    let Some(output) = run(Command::new("groff").args(groff).arg(&path)) else { return };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("/<host>/<path>                   to https://<host>/<path>"), "{text}");
}

#[test]
fn bash_completes_options_and_values() {
    let written = Written::new("bash");
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
    let completions = written.0.join("completions/taskcluster-proxy.bash");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(completions);
    let Some(output) = run(&mut bash) else { return };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("--credentials-drain\ntext json\n"), "{said}");
    assert!(said.contains("-F _taskcluster__proxy"), "{said}");
}

#[test]
fn zsh_and_fish_can_read_theirs() {
    let written = Written::new("shells");
    for (shell, file) in [("zsh", "_taskcluster-proxy"), ("fish", "taskcluster-proxy.fish")] {
        let file = written.0.join("completions").join(file);
        let Some(output) = run(Command::new(shell).arg("-n").arg(file)) else { continue };
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

/// Only that every option is in it: PowerShell itself is not among what tests are set up with.
#[test]
fn powershell_completions_offer_every_option() {
    let written = Written::new("powershell");
    let path = written.0.join("completions/_taskcluster-proxy.ps1");
    let script = fs::read_to_string(path).unwrap();
    for option in command().get_arguments().filter_map(clap::Arg::get_long) {
        assert!(script.contains(&format!("[CompletionResult]::new('--{option}'")), "{option}");
    }
}

/// `None`, and a line that says so, where the program is not installed.
fn run(command: &mut Command) -> Option<Output> {
    let output = command.stdin(Stdio::null()).output();
    if output.is_err() {
        eprintln!("skipped: no {}", command.get_program().display());
    }
    output.ok()
}

/// A directory with all that the program writes, until the test is over.
struct Written(PathBuf);

impl Written {
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

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
