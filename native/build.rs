//! Stamps the git revision into the binary, where it is known.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=GIT_REVISION");
    let given = std::env::var("GIT_REVISION").ok().filter(|revision| !revision.is_empty());
    if let Some(revision) = given.or_else(revision_of_checkout) {
        println!("cargo::rustc-env=GIT_REVISION={revision}");
    }
}

/// Only of this project's own checkout: an unpacked crate inside someone else's repository must
/// not claim that repository's revision.
fn revision_of_checkout() -> Option<String> {
    if !Path::new("../.git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}
