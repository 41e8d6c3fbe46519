//! The report of `--check`: a line for each check, printed as soon as its result is known.

use std::fmt::{self, Display};
use std::io::{self, Write as _};

/// The results of the checks, with lines such as `ok    port          free: 0.0.0.0:8080`.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
    prints: bool,
    /// Whether printing a line has failed.
    print_failed: bool,
}

/// The width of the column with the names of the checks: the length of the longest name.
const WIDTH: usize = "listener tls".len();

#[derive(Debug)]
struct Line {
    result: CheckResult,
    name: &'static str,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckResult {
    /// No problem was found.
    Ok,
    /// It works, but something should be changed.
    Warn,
    /// It does not work.
    Fail,
    /// The result is not known, because another check failed.
    Unknown,
}

impl Report {
    /// A report that prints each line on stdout when it is added, because a check may take some time.
    pub(super) fn printing() -> Self {
        Self { prints: true, ..Self::default() }
    }

    /// Whether the proxy would start, and all lines were printed.
    pub fn is_ok(&self) -> bool {
        !self.print_failed && self.lines.iter().all(|line| line.result != CheckResult::Fail)
    }

    pub(super) fn ok(&mut self, name: &'static str, text: impl Display) {
        self.add(CheckResult::Ok, name, text);
    }

    pub(super) fn warn(&mut self, name: &'static str, text: impl Display) {
        self.add(CheckResult::Warn, name, text);
    }

    pub(super) fn fail(&mut self, name: &'static str, text: impl Display) {
        self.add(CheckResult::Fail, name, text);
    }

    pub(super) fn unknown(&mut self, name: &'static str, text: impl Display) {
        self.add(CheckResult::Unknown, name, text);
    }

    fn add(&mut self, result: CheckResult, name: &'static str, text: impl Display) {
        let line = Line { result, name, text: text.to_string() };
        if self.prints {
            // It is not an error if the reader has closed the pipe (`--check | head -1`).
            let printed = writeln!(io::stdout(), "{line}");
            self.print_failed |=
                printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
        self.lines.push(line);
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { result, name, text } = self;
        let result = match result {
            CheckResult::Ok => "ok",
            CheckResult::Warn => "warn",
            CheckResult::Fail => "fail",
            CheckResult::Unknown => "?",
        };
        write!(f, "{result:<4}  {name:<WIDTH$}  {text}")
    }
}

#[cfg(test)]
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(Line::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_only_failures_fail() {
        let mut report = Report::default();
        report.ok("port", "free");
        report.warn("root url", "a");
        report.unknown("tls", "b");
        assert!(report.is_ok());
        report.fail("x", "c");
        assert!(!report.is_ok());
        let expected = "ok    port          free\nwarn  root url      a\n?     tls           b\nfail  x             c";
        assert_eq!(report.to_string(), expected);
    }
}
