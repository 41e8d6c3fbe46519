//! Runs release/release in a temporary repository: which releases it rejects, what it commits and tags.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::Folder;

#[test]
fn invalid_releases_are_rejected_before_anything_changes() {
    let tree = Tree::new();
    let usage = "usage: release/release [--no-test] <version>";
    for (arguments, expected) in [
        (&[][..], usage),
        (&["--no-tests", "9.0.0"], usage),
        (&["--help"], usage),
        (&["9.0"], "expected a version such as 1.2.3 or 1.2.3-rc.1, found 9.0"),
        (&["9.0.0+build"], "found 9.0.0+build"),
        (&["09.0.0"], "found 09.0.0"),
        (&["9.0.0-rc.01"], "found 9.0.0-rc.01"),
        (&["0.0.1"], "expected a version after"),
    ] {
        tree.assert_rejected(arguments, expected);
    }
    tree.git(&["tag", "v9.0.0"]);
    tree.assert_rejected(&["v9.0.0"], "the tag v9.0.0 exists already");
    // With a tag the version of the tree counts as released.
    tree.assert_rejected(&[env!("CARGO_PKG_VERSION")], "expected a version after");

    tree.git(&["config", "user.useConfigOnly", "true"]);
    tree.git(&["config", "--unset", "user.email"]);
    tree.assert_rejected(&["9.0.1"], "git has no name and address for the commit");
    tree.git(&["config", "user.email", "somebody@example.com"]);

    tree.put("new-file", "");
    tree.assert_rejected(&["9.0.1"], "the tree has changes: commit or stash them first");
    tree.put("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 0.0.1\n\n- Something.\n");
    tree.commit();
    tree.assert_rejected(&["9.0.1"], "CHANGELOG.md has no entries under \"## Unreleased\"");
}

#[test]
fn a_release_sets_the_version_commits_tags_and_builds() {
    let tree = Tree::new();
    let before = env!("CARGO_PKG_VERSION");
    tree.replace_build("git describe");
    let output = tree.release(&["--no-test", "v9.8.7-rc.1"]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("\nv9.8.7-rc.1\nv9.8.7-rc.1 is committed, tagged"), "{printed}");

    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    assert_eq!(tree.git(&["log", "-1", "--format=%s"]), "Release 9.8.7-rc.1\n");
    assert_eq!(tree.git(&["cat-file", "-t", "v9.8.7-rc.1"]), "tag\n");
    let changes = tree.git(&["diff", "--text", "HEAD~"]);
    let is_version = |line: &&str| line.starts_with('-') && line.contains(before);
    let removed = changes.lines().filter(is_version).count();
    let added = changes.lines().filter(|line| line.starts_with('+') && line.contains("9.8.7-rc.1"));
    // One more line is the heading in the changelog.
    assert_eq!(added.count(), removed + 1, "{changes}");
    let log = fs::read_to_string(tree.path().join("CHANGELOG.md")).unwrap();
    assert!(log.contains("\n## Unreleased\n\n## 9.8.7-rc.1 - 20"), "{log}");

    // All packages have the version, also in the lock files.
    let cargo = ["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"];
    let metadata = tree.run(Command::new("cargo").args(cargo));
    assert!(metadata.status.success(), "{metadata:?}");
    let packages: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = packages["packages"].as_array().unwrap();
    assert!(packages.iter().all(|package| package["version"] == "9.8.7-rc.1"), "{packages:?}");
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = fs::read_to_string(tree.path().join(lock)).unwrap();
        assert!(lock.contains("name = \"taskcluster-proxy\"\nversion = \"9.8.7-rc.1\""));
    }
}

#[test]
fn after_a_failed_build_the_commit_and_the_tag_remain() {
    let tree = Tree::new();
    tree.replace_build("exit 7");
    let output = tree.release(&["--no-test", "9.0.0"]);
    assert!(!output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        printed
            .ends_with("v9.0.0 is committed and tagged, but not built: run release/build again\n")
    );
    assert_eq!(tree.git(&["describe"]), "v9.0.0\n");
}

/// A temporary repository with one commit, of the current files of this repository.
struct Tree(Folder);

impl Tree {
    fn new() -> Self {
        let tree = Self(Folder::new());
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let files = "git ls-files -z --cached --others --exclude-standard";
        let copy = format!("{files} | xargs --null cp --parents --target-directory \"$1\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &copy, "bash"]).arg(tree.path()).current_dir(root);
        assert!(shell.status().unwrap().success());
        tree.git(&["init", "--quiet"]);
        tree.git(&["config", "user.name", "Somebody"]);
        tree.git(&["config", "user.email", "somebody@example.com"]);
        tree.put("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- All of it.\n");
        tree.commit();
        tree
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path("")
    }

    fn put(&self, name: &str, contents: &str) {
        fs::write(self.path().join(name), contents).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "As it is"]);
    }

    /// Replaces the build, which takes minutes and needs the network, by this command.
    fn replace_build(&self, command: &str) {
        self.put("release/build", &format!("#!/bin/sh\n{command}\n"));
        self.commit();
    }

    fn release(&self, arguments: &[&str]) -> Output {
        self.run(Command::new(self.path().join("release/release")).args(arguments))
    }

    fn assert_rejected(&self, arguments: &[&str], expected: &str) {
        let before = self.git(&["status", "--porcelain"]);
        let output = self.release(arguments);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let last = printed.lines().last().unwrap_or_default();
        assert!(last.starts_with("release/release: ") && last.contains(expected), "{printed}");
        assert_eq!(self.git(&["status", "--porcelain"]), before, "{arguments:?}");
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = self.run(Command::new("git").args(arguments));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(&self, command: &mut Command) -> Output {
        // Independent of the git configuration of this machine.
        let clean = command.current_dir(self.path()).stdin(Stdio::null());
        let nothing = Path::new("/dev/null");
        let clean = clean.env("GIT_CONFIG_GLOBAL", nothing).env("GIT_CONFIG_SYSTEM", nothing);
        let names = ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"];
        let clean = names.into_iter().fold(clean, |command, name| command.env_remove(name));
        clean.output().expect("bash, git and cargo are installed")
    }
}
