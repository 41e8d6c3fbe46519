//! The program's last output, and its exit status.

use crate::app::check::Report;
use crate::app::shutdown::End;
use crate::telemetry::log;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status for [`End::Cut`]. 0 is a clean end, 1 a start that failed.
const CUT: u8 = 3;

/// Prints the text and a line feed on stdout.
pub fn print(text: &str) -> ExitCode {
    // A reader that has closed the pipe (`--help | head -1`) is no failure.
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// The exit code of a check, whose findings are printed: a failure, if a start would fail.
pub fn report(report: &Report) -> ExitCode {
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints one line on stderr, which the launcher shows to a person.
pub fn fail(error: &dyn Error) -> ExitCode {
    log::print(&format!("taskcluster-proxy: {error}"));
    ExitCode::FAILURE
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Drained => Self::SUCCESS,
            End::Cut => Self::from(CUT),
        }
    }
}
