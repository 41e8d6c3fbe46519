//! The last thing that the program says, and its exit status.

use crate::check::Report;
use crate::stop::End;
use crate::telemetry::log;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status for [`End::Cut`]. 0 is a clean end, 1 a start that failed.
const CUT: u8 = 3;

/// What was asked for, and a line feed, on stdout.
pub fn print(text: &str) -> ExitCode {
    // A reader that has gone away (`--help | head -1`) is no failure.
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error),
        _ => ExitCode::SUCCESS,
    }
}

/// What a check has found; a failure, if a start would fail.
pub fn report(report: &Report) -> ExitCode {
    match print(&report.to_string()) {
        ExitCode::SUCCESS if report.is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// One line on stderr: whoever started the proxy shows it to a person.
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
