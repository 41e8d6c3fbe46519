use crate::sync::Watched;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::thread;

/// What a child process says on stdout and stderr, as it says it.
#[derive(Clone, Debug)]
pub(crate) struct Output(Arc<Watched<Said>>);

#[derive(Debug, Default)]
struct Said {
    lines: Vec<(Stream, String)>,
    /// How many of its streams are still open.
    open: usize,
    /// Nobody reads them for now.
    paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A process that has ended.
#[derive(Debug)]
pub struct ProcessOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it said on stdout.
    pub stdout: String,
    /// All that it said on stderr.
    pub stderr: String,
}

impl Output {
    /// Takes over both streams of a child; they have to be pipes.
    pub(crate) fn of(child: &mut Child) -> Self {
        let output = Self(Arc::new(Watched::new(Said { open: 2, ..Said::default() })));
        output.collect(Stream::Stdout, child.stdout.take().expect("stdout is a pipe"));
        output.collect(Stream::Stderr, child.stderr.take().expect("stderr is a pipe"));
        output
    }

    /// Stops or goes on reading both streams. At most one more line of each is read after a stop.
    pub(crate) fn pause(&self, paused: bool) {
        self.0.change(|said| said.paused = paused);
    }

    /// Both streams, in the order in which lines came.
    pub(crate) fn text(&self) -> String {
        self.0.read(|said| joined(&said.lines, |_| true))
    }

    /// The first line that `find` makes something of, as soon as there is one; `None` if the
    /// process ends without, or it takes too long.
    pub(crate) fn wait_for<R>(&self, mut find: impl FnMut(&str) -> Option<R>) -> Option<R> {
        self.0
            .wait_for(|said| {
                let found = said.lines.iter().find_map(|(_, line)| find(line));
                (found.is_some() || said.open == 0).then_some(found)
            })
            .flatten()
    }

    /// Waits until `child` has ended and its streams are read to their end; ends it if it does not.
    pub(crate) fn finish(&self, child: &mut Child) -> ProcessOutput {
        if self.0.wait_for(|said| (said.open == 0).then_some(())).is_none() {
            // Nothing is lost if it ended just now.
            let _ = child.kill();
            panic!("the process does not end; so far it said:\n{}", self.text());
        }
        let status = child.wait().expect("a child can be waited for");
        self.0.read(|said| ProcessOutput {
            status,
            stdout: joined(&said.lines, |stream| stream == Stream::Stdout),
            stderr: joined(&said.lines, |stream| stream == Stream::Stderr),
        })
    }

    fn collect(&self, stream: Stream, from: impl Read + Send + 'static) {
        let said = Arc::clone(&self.0);
        thread::spawn(move || {
            // Small: what is in it was read.
            let mut from = BufReader::with_capacity(256, from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                said.change(|said| said.lines.push((stream, text)));
                line.clear();
                while said.wait_for(|said| (!said.paused).then_some(())).is_none() {}
            }
            said.change(|said| said.open -= 1);
        });
    }
}

fn joined(lines: &[(Stream, String)], wanted: impl Fn(Stream) -> bool) -> String {
    lines.iter().filter(|(stream, _)| wanted(*stream)).map(|(_, line)| line.as_str()).collect()
}
