//! The output of child processes.

use crate::sync::Watched;
use crate::words::assert_in_words;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::thread;

/// Collects the output of a child process while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Output(Arc<Watched<Captured>>);

#[derive(Debug, Default)]
struct Captured {
    lines: Vec<(Stream, String)>,
    /// How many of stdout and stderr are still open.
    open: usize,
    /// Reading is paused.
    paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The output and exit status of a process that has ended.
#[derive(Debug)]
pub struct ProcessOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl ProcessOutput {
    /// The only line on stderr; fails unless the process has failed with one line and an empty stdout.
    pub fn error_line(&self) -> &str {
        let Self { status, stdout, stderr } = self;
        assert!(!status.success() && stdout.is_empty(), "{status} {stdout}");
        let line = stderr.strip_suffix('\n').expect("there is a line on stderr");
        assert!(!line.contains('\n'), "{stderr}");
        line
    }
}

impl Output {
    /// Reads both streams of a child, which must be pipes, on threads.
    pub(crate) fn of(child: &mut Child) -> Self {
        let output = Self(Arc::new(Watched::new(Captured { open: 2, ..Captured::default() })));
        output.collect(Stream::Stdout, child.stdout.take().expect("stdout is a pipe"));
        output.collect(Stream::Stderr, child.stderr.take().expect("stderr is a pipe"));
        output
    }

    /// Pauses or resumes reading of both streams. After a pause at most one more line of each is read.
    pub(crate) fn pause(&self, paused: bool) {
        self.0.change(|captured| captured.paused = paused);
    }

    /// The lines of both streams, in the order in which they were read.
    pub(crate) fn text(&self) -> String {
        self.0.read(|captured| joined(&captured.lines, |_| true))
    }

    /// The first result of `find` for a line, as soon as there is one; `None` if the process ends
    /// without a result, or at the deadline.
    pub(crate) fn wait_for<R>(&self, mut find: impl FnMut(&str) -> Option<R>) -> Option<R> {
        self.0
            .wait_for(|captured| {
                let found = captured.lines.iter().find_map(|(_, line)| find(line));
                (found.is_some() || captured.open == 0).then_some(found)
            })
            .flatten()
    }

    /// Reads both streams of a child that has ended to their end, and fails if something in them is not said
    /// in words.
    pub(crate) fn check(&self) {
        self.pause(false);
        // Should another process still have a stream open, what has come is enough.
        let _ = self.0.wait_for(|captured| (captured.open == 0).then_some(()));
        assert_in_words(&self.text());
    }

    /// Waits until `child` has ended and its streams were read to their end; kills it at the deadline.
    pub(crate) fn finish(&self, child: &mut Child) -> ProcessOutput {
        if self.0.wait_for(|captured| (captured.open == 0).then_some(())).is_none() {
            // It may have ended just now.
            let _ = child.kill();
            panic!("the process does not end; its output so far:\n{}", self.text());
        }
        let status = child.wait().expect("a child can be waited for");
        assert_in_words(&self.text());
        self.0.read(|captured| ProcessOutput {
            status,
            stdout: joined(&captured.lines, |stream| stream == Stream::Stdout),
            stderr: joined(&captured.lines, |stream| stream == Stream::Stderr),
        })
    }

    fn collect(&self, stream: Stream, from: impl Read + Send + 'static) {
        let captured = Arc::clone(&self.0);
        thread::spawn(move || {
            // Small, so that little is read ahead while reading is paused.
            let mut from = BufReader::with_capacity(256, from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                captured.change(|captured| captured.lines.push((stream, text)));
                line.clear();
                while captured.wait_for(|captured| (!captured.paused).then_some(())).is_none() {}
            }
            captured.change(|captured| captured.open -= 1);
        });
    }
}

fn joined(lines: &[(Stream, String)], wanted: impl Fn(Stream) -> bool) -> String {
    lines.iter().filter(|(stream, _)| wanted(*stream)).map(|(_, line)| line.as_str()).collect()
}
