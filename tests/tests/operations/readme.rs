//! Checks the README and the guides in docs/: options are those of `--help`, example sessions show real
//! output, all metrics and log fields are documented.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Proxy, ScriptedResponse, Upstream, certificate};

const README: &str = include_str!("../../../README.md");
const GUIDE: &str = include_str!("../../../docs/operations.md");
const DEBUGGING: &str = include_str!("../../../docs/debugging.md");

#[test]
fn the_guide_to_operations_has_the_options_of_help() {
    let help = Proxy::builder().args(["--help"]).run();
    assert_eq!(block(GUIDE, "text"), help.stdout.trim_end());
}

#[test]
fn the_options_that_the_readme_names_exist() {
    let help = Proxy::builder().args(["--help"]).run().stdout;
    let options = README.split('`').filter(|code| code.starts_with("--"));
    let names: Vec<&str> = options.filter_map(|option| option.split([' ', '=']).next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let is_there = |line: &str| line.split([' ', ',']).any(|word| word == name);
        assert!(name == "--cert" || help.lines().any(is_there), "{name}");
    }
}

#[test]
fn the_example_session_shows_real_output() {
    let proxy = Proxy::sandbox().start();
    let session = block(README, "console");
    let actual = run(&session, &[("localhost:8080", proxy.address())]);
    assert_eq!(
        without_variable_parts(&session),
        without_variable_parts(&actual),
        "run again:\n{actual}"
    );
}

#[test]
fn the_sessions_of_the_debugging_guide_show_real_output() {
    let sandbox = Proxy::sandbox().args(["--admin", "127.0.0.1:0"]).start();
    let root_url = sandbox.sandbox_root_url();
    let wrong_token = Proxy::in_front_of(root_url).env("TASKCLUSTER_ACCESS_TOKEN", "wrong").start();
    let expired = serde_json::json!({
        "version": 1,
        "scopes": ["*"],
        "start": 1_700_000_000_000_u64,
        "expiry": 1_700_003_600_000_u64,
        "seed": "a".repeat(44),
        "signature": "x",
    });
    let expired =
        Proxy::in_front_of(root_url).env("TASKCLUSTER_CERTIFICATE", expired.to_string()).start();
    let restricted = Proxy::in_front_of(root_url).args(["test:nothing"]).start();
    let unreachable =
        Proxy::in_front_of("http://127.0.0.1:9").args(["--retry-budget", "0.2"]).start();
    let addresses = [
        ("localhost:8080", sandbox.address()),
        ("localhost:8081", sandbox.admin_address()),
        ("localhost:8401", wrong_token.address()),
        ("localhost:8402", expired.address()),
        ("localhost:8403", restricted.address()),
        ("localhost:8502", unreachable.address()),
    ];
    let sessions = blocks(DEBUGGING, "console");
    assert!(sessions.len() > 5, "{sessions:?}");
    for session in sessions {
        let actual = run(&session, &addresses);
        assert_eq!(
            without_variable_parts(&session),
            without_variable_parts(&actual),
            "run again:\n{actual}"
        );
    }
}

/// The session with the current output of its commands, which use `addresses` instead of those in the
/// text.
fn run(session: &str, addresses: &[(&str, SocketAddr)]) -> String {
    let commands: Vec<&str> = session.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(!commands.is_empty(), "no commands in the session");
    let mut actual = String::new();
    for command in commands {
        let run = addresses.iter().fold(command.to_owned(), |command, (name, address)| {
            command.replace(name, &address.to_string())
        });
        let output = Command::new("bash").args(["-c", &run]).output().expect("bash runs");
        let text = String::from_utf8(output.stdout).expect("responses are text").replace('\r', "");
        actual += &format!("$ {command}\n");
        if !text.is_empty() {
            actual += &format!("{}\n", text.trim_end());
        }
    }
    actual
}

#[test]
fn the_guide_to_operations_names_every_metric_and_field() {
    let certificate = certificate(&[]).to_string();
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate)
        .args(["--admin", "127.0.0.1:0", "--log-format", "json"])
        .start();
    proxy.get("/api/queue/v1/ping");
    let line = proxy.wait_for_json_log("/v1/ping");
    for field in line.as_object().unwrap().keys() {
        let known = ["timestamp", "level", "message"].contains(&field.as_str());
        assert!(known || GUIDE.contains(&format!("`{field}`")), "{field}");
    }

    // Metrics without a sample are left out; after a request each has one.
    let metrics = proxy.metrics();
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE taskcluster_proxy_"));
    let mut found: Vec<String> = types.map(|line| line.replace(' ', " | ")).collect();
    let rows =
        GUIDE.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 5);
    let mut documented: Vec<String> = rows
        .map(|row| {
            row.split('|').skip(1).take(2).map(|cell| cell.trim().replace('`', "")).collect()
        })
        .map(|cells: Vec<String>| cells.join(" | "))
        .collect();
    found.sort();
    documented.sort();
    assert_eq!(documented, found);
}

/// The first code block of this language in a text.
fn block(text: &str, language: &str) -> String {
    blocks(text, language).into_iter().next().expect("the document has such a block")
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = text.split(&fence).skip(1);
    starts.map(|rest| rest.split_once("\n```").expect("the block ends").0.to_owned()).collect()
}

/// The lines of a session without the parts that differ between runs: dates, the port of the sandbox,
/// the revision, request IDs, signatures, durations.
fn without_variable_parts(session: &str) -> Vec<String> {
    const VARIABLE: [&str; 5] = [
        "Date: ",
        "Etag: ",
        "Last-Modified: ",
        "X-Taskcluster-Proxy-Revision: ",
        "X-Taskcluster-Proxy-Request-Id: ",
    ];
    session
        .lines()
        .map(|line| match VARIABLE.iter().find(|header| line.starts_with(**header)) {
            Some(header) => (*header).to_owned(),
            None => {
                [("127.0.0.1:", "/"), ("?bewit=", ""), ("\"time\":\"", "\""), ("expired ", ",")]
                    .iter()
                    .fold(line.to_owned(), |line, (start, end)| without_after(&line, start, end))
            }
        })
        .collect()
}

/// `line` without the text after `start`, up to `end`, or to the end of the line if `end` is empty.
fn without_after(line: &str, start: &str, end: &str) -> String {
    let Some((before, after)) = line.split_once(start) else {
        return line.to_owned();
    };
    let kept = match end {
        "" => "",
        end => after.find(end).map_or("", |at| &after[at..]),
    };
    format!("{before}{start}{kept}")
}

/// Each test that SECURITY.md names for a claim exists.
#[test]
fn the_tests_that_security_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("SECURITY.md")).expect("the file exists");
    let mut count = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        if let Some((file, test)) = quoted.split_once("::") {
            let named = format!("{file}.rs");
            let defined = format!("\nfn {test}() {{");
            assert!(
                files(&root.join("tests/tests")).iter().any(|path| path.ends_with(&named)
                    && std::fs::read_to_string(path).expect("a source file").contains(&defined)),
                "expected a test `{test}` in a file {named} under tests/tests: {quoted}"
            );
            count += 1;
        } else if quoted.ends_with(".rs") {
            assert!(root.join(quoted).is_file(), "{quoted}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
