//! Writes log lines to stderr in a separate thread, so that a request never waits until they are read.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The maximum size of the queue, in bytes. Further lines are dropped and counted.
const MAX_QUEUED: usize = 1024 * 1024;
/// The minimum size that is counted for a line, in bytes. It limits the number of lines.
const MIN_CHARGE: usize = 512;
/// The minimum time between two writes. Under load most of the cost of a line is the system call and the
/// switch to the writing thread, so lines are written together.
const BATCH: Duration = Duration::from_millis(5);
/// How long to wait when a descriptor in non-blocking mode cannot be written to.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The writer of the process; set when logging has started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// The number of lines that were dropped since the process started.
pub fn dropped_lines() -> u64 {
    WRITER.get().map_or(0, |writer| writer.queue.dropped.load(Ordering::Relaxed))
}

/// Writes `text` and a line feed to stderr; if logging has started, after the log lines that are still in the
/// queue.
pub fn print(text: &str) {
    let line = format!("{text}\n");
    // An error cannot be reported: stderr is the only place for it.
    let _ = match WRITER.get() {
        Some(writer) => writer.clone().write_all(line.as_bytes()),
        None => io::stderr().write_all(line.as_bytes()),
    };
}

/// Starts the thread that writes to stderr. Dropping the guard writes the lines in the queue, for at most one
/// second.
pub(super) fn start() -> (LogWriter, WorkerGuard) {
    let (writer, guard) = LogWriter::new(io::stderr());
    (WRITER.get_or_init(|| writer).clone(), guard)
}

/// Puts lines into the queue of the writing thread, or drops them if the queue is full.
#[derive(Clone, Debug)]
pub(super) struct LogWriter {
    queue: Arc<Queue>,
    lines: NonBlocking,
}

#[derive(Debug, Default)]
struct Queue {
    /// The size of the lines in the queue, in bytes.
    charged: AtomicUsize,
    dropped: AtomicU64,
}

impl LogWriter {
    pub(super) fn new(output: impl Write + Send + 'static) -> (Self, WorkerGuard) {
        let queue = Arc::new(Queue::default());
        // The limit of lines is never reached, because the limit in bytes is reached first. So there is
        // always room for the message that ends the thread.
        let (lines, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(MAX_QUEUED / MIN_CHARGE + 1)
            .thread_name("log")
            .finish(BatchedOutput::new(output, Arc::clone(&queue)));
        (Self { queue, lines }, guard)
    }
}

impl Queue {
    fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

fn charge(line: &[u8]) -> usize {
    line.len().max(MIN_CHARGE)
}

impl Write for LogWriter {
    /// Puts one line into the queue.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let charge = charge(line);
        if self.queue.charged.fetch_add(charge, Ordering::Relaxed) + charge > MAX_QUEUED {
            self.queue.charged.fetch_sub(charge, Ordering::Relaxed);
            self.queue.drop_lines(1);
            return Ok(line.len());
        }
        self.lines.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The output of the writing thread: collects lines, and writes them together when the queue is empty.
struct BatchedOutput<W> {
    output: W,
    queue: Arc<Queue>,
    batch: Vec<u8>,
    charged: usize,
    /// The number of dropped lines that the log has already reported.
    reported: u64,
    /// Whether a line was written in part, so that the next one must begin with a line feed.
    partial_line: bool,
    /// When the last batch was written.
    last: Option<Instant>,
}

impl<W: Write> BatchedOutput<W> {
    fn new(output: W, queue: Arc<Queue>) -> Self {
        let batch = Vec::new();
        Self { output, queue, batch, charged: 0, reported: 0, partial_line: false, last: None }
    }

    /// Writes the batch. Returns whether all of it was written.
    fn write_batch(&mut self) -> bool {
        let line_feed: &[u8] = if self.partial_line { b"\n" } else { b"" };
        let written = write_all(&mut self.output, line_feed)
            .and_then(|()| write_all(&mut self.output, &self.batch));
        if let Err(written) = written {
            let rest = self.batch.get(written..).unwrap_or_default();
            let lost = rest.iter().filter(|byte| **byte == b'\n').count();
            self.partial_line |= written > 0;
            self.queue.drop_lines(lost as u64);
        } else {
            self.partial_line = false;
        }
        self.queue.charged.fetch_sub(std::mem::take(&mut self.charged), Ordering::Relaxed);
        self.last = Some(Instant::now());
        self.batch.clear();
        self.batch.shrink_to(BATCH_KEPT);
        written.is_ok()
    }
}

/// The maximum capacity of the buffer that is kept for the next batch, in bytes.
const BATCH_KEPT: usize = 16 * 1024;

impl<W: Write> Write for BatchedOutput<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.batch.is_empty()
            && let Some(since) = self.last.map(|last| last.elapsed())
            && since < BATCH
        {
            thread::sleep(BATCH);
        }
        self.batch.extend_from_slice(line);
        self.charged += charge(line);
        Ok(line.len())
    }

    /// Called when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() || !self.write_batch() {
            return Ok(());
        }
        let dropped = self.queue.dropped.load(Ordering::Relaxed);
        if dropped > self.reported {
            // This line passes through the queue like all others.
            let lines = dropped - std::mem::replace(&mut self.reported, dropped);
            tracing::warn!(
                "{lines} log lines were dropped: stderr was not read, or could not be written to"
            );
        }
        Ok(())
    }
}

/// Writes all bytes. Waits if the descriptor is in non-blocking mode, which another process may have set. The
/// error is the number of bytes that were written.
fn write_all(output: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match output.write(rest) {
            Ok(0) => return Err(written),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_DELAY),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    /// An output that blocks each write until the test allows it.
    struct Gated(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Does not block any more once the sender is dropped.
            let _ = self.0.recv();
            self.1.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LogWriter, WorkerGuard, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = channel();
        let written = Arc::default();
        let (writer, guard) = LogWriter::new(Gated(gate, Arc::clone(&written)));
        (writer, guard, open, written)
    }

    #[test]
    fn lines_that_do_not_fit_the_queue_are_dropped_and_counted() {
        let (mut writer, guard, open, written) = gated();
        let lines = MAX_QUEUED / MIN_CHARGE + 10;
        for line in 0..lines {
            writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let dropped = writer.queue.dropped.load(Ordering::Relaxed) as usize;
        assert_eq!(dropped, 10);
        drop(open);
        drop(guard);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), lines - dropped);
        assert_eq!(writer.queue.charged.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_long_line_is_charged_its_length() {
        let (mut writer, _guard, _open, _) = gated();
        writer.write_all(&vec![b'x'; MAX_QUEUED + 1]).unwrap();
        assert_eq!(writer.queue.dropped.load(Ordering::Relaxed), 1);
    }

    /// An output on a disk that is full after eight bytes, while the flag is set.
    struct Full(Vec<u8>, bool);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 && self.0.len() >= 8 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let length = if self.1 { bytes.len().min(8 - self.0.len()) } else { bytes.len() };
            self.0.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_lost_on_a_full_disk_are_counted_and_the_next_one_is_whole() {
        let queue = Arc::new(Queue::default());
        let mut output = BatchedOutput::new(Full(Vec::new(), true), Arc::clone(&queue));
        queue.charged.store(3 * MIN_CHARGE, Ordering::Relaxed);
        output.write_all(b"first\n").unwrap();
        output.write_all(b"second\n").unwrap();
        output.flush().unwrap();
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 1);
        output.output.1 = false;
        output.write_all(b"third\n").unwrap();
        output.flush().unwrap();
        assert_eq!(queue.charged.load(Ordering::Relaxed), 0);
        assert_eq!(output.output.0, b"first\nse\nthird\n");
    }
}
