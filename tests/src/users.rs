//! Clients that run as other users of this machine.

use crate::skip;
use std::ffi::OsStr;
use std::process::Command;

/// A user that exists on every Linux.
pub const NOBODY: &str = "65534";

/// Another one.
pub const DAEMON: &str = "1";

/// Whether the tests run as root and these tools are installed; otherwise reports that the test is skipped.
pub fn can_switch_users(tools: &[[&str; 2]]) -> bool {
    let user = Command::new("id").arg("-u").output().expect("every Unix has id");
    if user.stdout != b"0\n" {
        skip("only root can be another user, or make a network namespace");
        return false;
    }
    let missing = tools.iter().chain(&[["setpriv", "--version"]]).find(|[tool, args]| {
        !Command::new(tool).arg(args).output().is_ok_and(|output| output.status.success())
    });
    if let Some([tool, _]) = missing {
        skip(&format!("{tool} is not installed, or does not work here"));
    }
    missing.is_none()
}

/// A program, run as this user.
pub fn as_user(uid: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", uid, "--clear-groups"]).arg(program);
    command
}

/// The status that curl gets as this user, with these arguments; 0 if there is no response.
pub fn status_for(uid: &str, args: &[&str]) -> u16 {
    let mut curl = as_user(uid, "curl");
    curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    let output = curl.args(args).output().expect("setpriv runs");
    let status = String::from_utf8_lossy(&output.stdout);
    status.parse().unwrap_or_else(|_| panic!("curl {args:?} as {uid}: {output:?}"))
}
