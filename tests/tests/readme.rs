//! What the README and its guides say is so: options are those of `--help`, the session is what
//! happens, metrics and fields of the log are all told.

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use stories::{Answer, Proxy, Upstream, certificate};

const README: &str = include_str!("../../README.md");
const GUIDE: &str = include_str!("../../docs/operations.md");

#[test]
fn the_guide_to_operations_has_the_options_of_help() {
    let help = Proxy::with_nothing().args(["--help"]).run();
    assert_eq!(block(GUIDE, "text"), help.stdout.trim_end());
}

#[test]
fn the_options_that_the_readme_names_are_there() {
    let help = Proxy::with_nothing().args(["--help"]).run().stdout;
    let options = README.split('`').filter(|code| code.starts_with("--"));
    let names: Vec<&str> = options.filter_map(|option| option.split([' ', '=']).next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let is_there = |line: &str| line.split([' ', ',']).any(|word| word == name);
        assert!(name == "--cert" || help.lines().any(is_there), "{name}");
    }
}

#[test]
fn the_session_is_what_happens() {
    let proxy = Proxy::sandbox().start();
    let session = block(README, "console");
    let commands: Vec<&str> = session.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(!commands.is_empty(), "no commands in the session");
    let mut seen = String::new();
    for command in commands {
        let run = command.replace("localhost:8080", &proxy.address().to_string());
        let output = Command::new("bash").args(["-c", &run]).output().expect("bash runs");
        let text = String::from_utf8(output.stdout).expect("answers are text").replace('\r', "");
        seen += &format!("$ {command}\n{}\n", text.trim_end());
    }
    assert_eq!(lasting(&session), lasting(&seen));
}

#[test]
fn the_guide_to_operations_names_every_metric_and_field() {
    let certificate = certificate(&[]).to_string();
    let upstream = Upstream::start([Answer::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .env("TASKCLUSTER_CERTIFICATE", certificate)
        .args(["--admin", "127.0.0.1:0", "--log-format", "json"])
        .start();
    proxy.get("/api/queue/v1/ping");
    let line: Value = serde_json::from_str(&proxy.wait_for_log("/v1/ping")).unwrap();
    for field in line.as_object().unwrap().keys() {
        let known = ["timestamp", "level", "message"].contains(&field.as_str());
        assert!(known || GUIDE.contains(&format!("`{field}`")), "{field}");
    }

    // Families without a sample are left out: after a request each has one.
    let metrics = proxy.metrics();
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE taskcluster_proxy_"));
    let mut found: Vec<String> = types.map(|line| line.replace(' ', " | ")).collect();
    let rows =
        GUIDE.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 5);
    let mut told: Vec<String> = rows
        .map(|row| {
            row.split('|').skip(1).take(2).map(|cell| cell.trim().replace('`', "")).collect()
        })
        .map(|cells: Vec<String>| cells.join(" | "))
        .collect();
    found.sort();
    told.sort();
    assert_eq!(told, found);
}

/// The first block of a text in this language.
fn block(text: &str, language: &str) -> String {
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("there is such a block");
    rest.split_once("\n```").expect("the block ends").0.to_owned()
}

/// Without what differs from one run to the next: dates, the sandbox's port, the revision, the
/// request's id, the signature.
fn lasting(session: &str) -> Vec<String> {
    const DIFFER: [&str; 5] = [
        "Date: ",
        "Etag: ",
        "Last-Modified: ",
        "X-Taskcluster-Proxy-Revision: ",
        "X-Taskcluster-Proxy-Request-Id: ",
    ];
    session
        .lines()
        .map(|line| match DIFFER.iter().find(|header| line.starts_with(**header)) {
            Some(header) => (*header).to_owned(),
            None => without_after(&without_after(line, "127.0.0.1:", "/"), "?bewit=", ""),
        })
        .collect()
}

/// `line` without what follows `start`, up to `end` or, where that is empty, to its own end.
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

/// Of each claim the test is there that is said to show it.
#[test]
fn the_tests_that_security_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("SECURITY.md")).expect("it is there");
    let mut count = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        if let Some((file, test)) = quoted.split_once("::") {
            let story = root.join("tests/tests").join(file).with_extension("rs");
            let story = std::fs::read_to_string(story).expect("a file of stories");
            assert!(story.contains(&format!("\nfn {test}() {{")), "{quoted}");
            count += 1;
        } else if quoted.ends_with(".rs") {
            assert!(root.join(quoted).is_file(), "{quoted}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
