//! The rooms of `native/src` use only those below them: no arrow points up, so there is no circle.
//! Besides, each source file begins with a line on what it is for.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "how a test fails or tells"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. A new room gets its place here, and nowhere else.
const ROOMS: [&str; 8] =
    ["app", "admin", "inbound", "proxy", "credentials", "outbound", "telemetry", "os"];

/// They belong to no room and may use all rooms; no room uses them.
const OUTSIDE: [&str; 3] = ["main", "lib", "testing"];

/// The files with arrows between rooms, by the room that uses and the one that is used.
type Arrows = BTreeMap<(String, String), Vec<String>>;

#[test]
fn every_arrow_between_rooms_points_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = Arrows::new();
    for file in rust_files(&source) {
        let name = file.strip_prefix(&source).unwrap();
        let room = room_of(name);
        let mut text = fs::read_to_string(&file).unwrap();
        if name.components().count() == 2 && name.ends_with("mod.rs") {
            // What is above a room's own module is the crate.
            text = format!("\n{text}").replace("\nuse super::", "\nuse crate::");
        }
        for used in used_rooms(&text) {
            if used != room {
                let files = arrows.entry((room.clone(), used)).or_default();
                files.push(name.display().to_string());
            }
        }
    }
    for ((from, to), files) in &arrows {
        println!("{from:>11} -> {to:11} {} files", files.len());
    }
    assert_eq!(wrong(&arrows), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let arrows = |from: &str, text: &str| -> Arrows {
        used_rooms(text).into_iter().map(|to| ((from.to_owned(), to), Vec::new())).collect()
    };
    assert!(wrong(&arrows("proxy", "use crate::outbound::Origin; // crate::app\n")).is_empty());
    for (from, text) in [
        ("proxy", "use crate::inbound::Drain;"),
        ("os", "fn log() { crate::telemetry::log::start() }"),
        ("outbound", "use crate::{os, app};"),
        ("outbound", "use crate::{\n    os::{env, peer},\n    testing,\n};"),
        ("os", "use crate::run;"),
        ("os", "use crate::nowhere::Something;"),
    ] {
        assert_eq!(wrong(&arrows(from, text)).len(), 1, "{from}: {text}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let native = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut silent = Vec::new();
    for folder in ["src", "tests", "sandbox"] {
        for file in rust_files(&native.join(folder)) {
            if !fs::read_to_string(&file).unwrap().starts_with("//! ") {
                silent.push(file.strip_prefix(native).unwrap().to_owned());
            }
        }
    }
    assert!(silent.is_empty(), "these begin without a line \"//! ...\": {silent:#?}");
}

/// The arrows that do not point down, one per line.
fn wrong(arrows: &Arrows) -> Vec<String> {
    let place = |room: &str| ROOMS.iter().position(|it| *it == room);
    let is_right = |from: &str, to: &str| match (place(from), place(to)) {
        (Some(from), Some(to)) => from < to,
        (None, Some(_)) => OUTSIDE.contains(&from),
        (_, None) => false,
    };
    arrows
        .iter()
        .filter(|((from, to), _)| !is_right(from, to))
        .map(|((from, to), files)| format!("{from} -> {to}: {}", files.join(", ")))
        .collect()
}

/// The first part of its path.
fn room_of(file: &Path) -> String {
    let first = Path::new(file.components().next().unwrap().as_os_str());
    first.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Every name that follows `crate::`, except in comments.
fn used_rooms(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut used: Vec<String> = code
        .split("crate::")
        .skip(1)
        .flat_map(|path| match path.strip_prefix('{') {
            Some(group) => members(group),
            None => vec![identifier(path)],
        })
        .collect();
    used.sort();
    used.dedup();
    used
}

/// The first names of the paths in a group, which ends with its brace.
fn members(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut path) = (0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(identifier(&std::mem::take(&mut path))),
            _ if depth == 0 => path.push(c),
            _ => {}
        }
    }
    names.push(identifier(&path));
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
