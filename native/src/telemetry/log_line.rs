//! Formats log lines as logfmt or JSON, with the same fields in the same order.

use super::log_writer::LogWriter;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// logfmt: `key=value`, with quotes where necessary; the level is coloured on a terminal.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// A layer that writes a line for each event: `timestamp`, `level`, `message`, the event's fields, and those of
/// the spans that it is in.
#[derive(Debug)]
pub(super) struct LogLines {
    pub(super) format: LogFormat,
    pub(super) color: bool,
    pub(super) writer: LogWriter,
}

/// The formatted fields of a span, which are part of the line of each event in it.
struct SpanFields(Vec<u8>);

thread_local! {
    /// Buffers that are reused for each line.
    static BUFFERS: RefCell<(Buffer, String)> = const { RefCell::new((Buffer(Vec::new()), String::new())) };
}

/// The maximum capacity of buffers that are kept, in bytes. Longer lines are rare.
const MAX_KEPT: usize = 4 * 1024;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let (mut line, mut scratch) = (Buffer(Vec::with_capacity(64)), String::new());
        attributes.record(&mut FieldWriter {
            format: self.format,
            line: &mut line,
            scratch: &mut scratch,
        });
        span.extensions_mut().insert(SpanFields(line.0));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        BUFFERS.with(|buffers| match buffers.try_borrow_mut() {
            Ok(mut buffers) => {
                let (line, scratch) = &mut *buffers;
                self.write(event, &context, line, scratch);
                line.0.clear();
                line.0.shrink_to(MAX_KEPT);
                scratch.shrink_to(MAX_KEPT);
            }
            // Formatting a value has logged another line.
            Err(_) => self.write(event, &context, &mut Buffer(Vec::new()), &mut String::new()),
        });
    }
}

impl LogLines {
    fn write<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        line: &mut Buffer,
        scratch: &mut String,
    ) {
        let level = *event.metadata().level();
        line.put(match self.format {
            LogFormat::Text => b"timestamp=",
            LogFormat::Json => b"{\"timestamp\":\"",
        });
        // Writing to memory cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(line));
        match self.format {
            LogFormat::Text if self.color => {
                let _ = write!(line.text(), " level=\x1b[{}m{level}\x1b[0m", color_of(level));
            }
            LogFormat::Text => {
                let _ = write!(line.text(), " level={}", level.as_str());
            }
            LogFormat::Json => {
                let _ = write!(line.text(), "\",\"level\":\"{}\"", level.as_str());
            }
        }
        event.record(&mut FieldWriter { format: self.format, line, scratch });
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(fields)) = span.extensions().get() {
                line.put(fields);
            }
        }
        line.put(match self.format {
            LogFormat::Text => b"\n",
            LogFormat::Json => b"}\n",
        });
        // Never fails: lines that do not fit the queue are dropped and counted.
        let _ = self.writer.clone().write_all(&line.0);
    }
}

/// The terminal's number for the color of a level (ECMA-48, SGR).
fn color_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// A visitor that appends fields to a line.
struct FieldWriter<'a> {
    format: LogFormat,
    line: &'a mut Buffer,
    scratch: &'a mut String,
}

impl FieldWriter<'_> {
    fn name(&mut self, field: &Field) {
        match self.format {
            LogFormat::Text => {
                self.line.put(b" ");
                self.line.put(field.name().as_bytes());
                self.line.put(b"=");
            }
            LogFormat::Json => {
                self.line.put(b",\"");
                self.line.put(field.name().as_bytes());
                self.line.put(b"\":");
            }
        }
    }

    fn write_unquoted(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.line.text(), "{value}");
    }
}

impl Visit for FieldWriter<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        if self.format == LogFormat::Json || needs_quotes(value) {
            let _ = serde_json::to_writer(&mut *self.line, value);
        } else {
            self.line.put(value.as_bytes());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = std::mem::take(self.scratch);
        text.clear();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
        *self.scratch = text;
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write_unquoted(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write_unquoted(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write_unquoted(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // NaN and infinity are not valid JSON.
        if value.is_finite() {
            self.write_unquoted(field, value);
        }
    }
}

/// Whether a logfmt value is ambiguous without quotes.
fn needs_quotes(value: &str) -> bool {
    value.is_empty()
        || value.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'=' | b'\\'))
}

/// A buffer of UTF-8 text for a line.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Buffer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The buffer as a target of `write!`, which is ambiguous for two `Write` traits.
    fn text(&mut self) -> &mut dyn fmt::Write {
        self
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged within `log`, without their timestamps.
    fn logged(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let (writer, guard) = LogWriter::new(written.clone());
        let lines = LogLines { format, color: false, writer };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        drop(guard);
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let start = if format == LogFormat::Text { " level" } else { "\"level" };
        written.lines().map(|line| line[line.find(start).unwrap()..].to_owned()).collect()
    }

    fn an_event_in_a_span() {
        let span = tracing::error_span!("request", request_id = "00ff");
        let note: Option<&str> = None;
        tracing::info!(
            parent: &span,
            path = "/a=b",
            status = 200u16,
            ms = 1.5,
            note,
            quoted = "say \"hi\"\n",
            empty = "",
            "two words {}",
            1
        );
        span.in_scope(|| tracing::warn!("plain"));
        tracing::warn!("plain");
    }

    #[test]
    fn text_is_logfmt() {
        assert_eq!(
            logged(LogFormat::Text, an_event_in_a_span),
            [
                r#" level=INFO message="two words 1" path="/a=b" status=200 ms=1.5 quoted="say \"hi\"\n" empty="" request_id=00ff"#,
                " level=WARN message=plain request_id=00ff",
                " level=WARN message=plain",
            ]
        );
    }

    #[test]
    fn json_has_the_same_fields() {
        assert_eq!(
            logged(LogFormat::Json, an_event_in_a_span),
            [
                r#""level":"INFO","message":"two words 1","path":"/a=b","status":200,"ms":1.5,"quoted":"say \"hi\"\n","empty":"","request_id":"00ff"}"#,
                r#""level":"WARN","message":"plain","request_id":"00ff"}"#,
                r#""level":"WARN","message":"plain"}"#,
            ]
        );
    }
}
