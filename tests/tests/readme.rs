//! What the README says is so: its options are those of `--help`, its session is what happens.

use std::path::Path;
use std::process::Command;
use stories::Proxy;

const README: &str = include_str!("../../README.md");

#[test]
fn the_options_are_those_of_help() {
    let help = Proxy::with_nothing().args(["--help"]).run();
    assert_eq!(block("text"), help.stdout.trim_end());
}

#[test]
fn the_session_is_what_happens() {
    let proxy = Proxy::sandbox().start();
    let session = block("console");
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

/// The block of the README in this language.
fn block(language: &str) -> String {
    let (_, rest) = README.split_once(&format!("```{language}\n")).expect("there is such a block");
    rest.split_once("\n```").expect("the block ends").0.to_owned()
}

/// Without what differs from one run to the next: dates, the sandbox's port, the revision, the
/// signature.
fn lasting(session: &str) -> Vec<String> {
    const DIFFER: [&str; 4] =
        ["Date: ", "Etag: ", "Last-Modified: ", "X-Taskcluster-Proxy-Revision: "];
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
