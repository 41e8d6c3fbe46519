//! Runs third-party clients and verifiers, in Node, Python and Rust. `tests/run` installs them.

use crate::environment;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A Node program of `tests/clients`.
pub fn node(program: &str) -> Command {
    require(&folder().join("node_modules/.package-lock.json"));
    program_of("node".into(), program)
}

/// A Python program of `tests/clients`.
pub fn python(program: &str) -> Command {
    require(&folder().join(".venv/installed"));
    program_of(folder().join(".venv/bin/python"), program)
}

/// The Rust program of `tests/clients`.
pub fn rust() -> Command {
    let program = folder().join("rust/target/debug/taskcluster-proxy-client-scenario");
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    require(&program);
    let mut command = Command::new(program);
    environment::clear_environment(&mut command);
    command
}

/// Runs a program to its end and returns the JSON that it prints.
pub fn run(mut command: Command) -> Value {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run tests/run, which sets it up"));
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{command:?}: {error} in what it prints:\n{stdout}{stderr}"))
}

/// A program that responds to questions: one line of JSON each, in and out.
#[derive(Debug)]
pub struct Oracle {
    child: Child,
    questions: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
                panic!("{command:?}: {error}; run tests/run, which sets it up")
            });
        let questions = child.stdin.take().expect("stdin is a pipe");
        let responses = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { child, questions, responses }
    }

    /// Asks, and waits for the response.
    pub fn ask(&mut self, question: &Value) -> Value {
        let mut response = String::new();
        writeln!(self.questions, "{question}").expect("it reads questions");
        self.responses.read_line(&mut response).expect("it writes responses");
        serde_json::from_str(&response)
            .unwrap_or_else(|error| panic!("{error} in the response {response:?} to {question}"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prometheus' own linter of metrics: that of this machine, or the one that `tests/run` fetched.
pub fn promtool() -> Option<Command> {
    let fetched = folder().join(".promtool");
    let programs = [PathBuf::from("promtool"), fetched];
    programs.into_iter().find_map(|program| {
        let found = Command::new(&program).arg("--version").output().is_ok();
        found.then(|| Command::new(program))
    })
}

fn program_of(interpreter: PathBuf, program: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(folder().join(program));
    environment::clear_environment(&mut command);
    command
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn require(installed: &Path) {
    assert!(
        installed.exists(),
        "{} is missing: run tests/run, which installs it",
        installed.display()
    );
}
