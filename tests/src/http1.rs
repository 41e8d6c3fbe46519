//! Reads HTTP/1.1 messages byte for byte, for both the raw client and the scripted upstream. Nothing
//! is normalised and no code is shared with the proxy.

use std::io::{self, BufRead, ErrorKind};

/// The start line and the header section of a request or a response, with the empty line at the end.
#[derive(Clone, PartialEq, Eq)]
pub struct Head(Vec<u8>);

impl Head {
    /// Reads one; `None` if the peer closes the connection before its first byte.
    ///
    /// # Errors
    ///
    /// The connection is reset, or closed in the middle.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            from.read_until(b'\n', &mut bytes)?;
            match bytes.get(before..) {
                Some(b"\r\n" | b"\n") => return Ok(Some(Self(bytes))),
                Some(line) if line.ends_with(b"\n") => {}
                _ if bytes.is_empty() => return Ok(None),
                _ => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The request line or status line.
    pub fn start_line(&self) -> &str {
        text(self.lines().next().unwrap_or_default())
    }

    /// The header fields in their order, names as they are spelled.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines().skip(1).filter_map(|line| {
            let (name, value) = text(line).split_once(':')?;
            Some((name, value.trim_matches([' ', '\t'])))
        })
    }

    /// The value of the first header field of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The values of all header fields of this name, whatever their case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The word of the start line at this position: of a request, 0 is the method and 1 the target.
    pub fn word(&self, at: usize) -> &str {
        self.start_line().split(' ').nth(at).unwrap_or_default()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.is_empty())
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A body that is being received: its framing, and how much of it is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    state: State,
    trailers: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    Chunk(u64),
    ChunkEnd,
    NextChunk,
    UntilClose,
    Done,
}

impl Body {
    /// The body of a request with this header section.
    pub fn of_request(head: &Head) -> Self {
        Self::new(Self::framed(head).unwrap_or(State::Done))
    }

    /// The body of a response with this header section to a request with this method.
    pub fn of_response(head: &Head, method: &str) -> Self {
        let empty = method == "HEAD" || matches!(head.word(1), "204" | "304");
        Self::new(if empty || head.word(1).starts_with('1') {
            State::Done
        } else {
            Self::framed(head).unwrap_or(State::UntilClose)
        })
    }

    fn framed(head: &Head) -> Option<State> {
        if head.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Some(State::NextChunk);
        }
        head.header("content-length")?.parse().ok().map(State::Length)
    }

    fn new(state: State) -> Self {
        Self { state, trailers: Vec::new() }
    }

    /// Reads the next bytes, as soon as there are any; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection is reset, or closed before the end; the chunks are invalid.
    pub fn next(&mut self, from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        loop {
            let limit = match self.state {
                State::Done | State::Length(0) => return Ok(None),
                State::ChunkEnd => {
                    expect_line_end(from)?;
                    self.state = State::NextChunk;
                    continue;
                }
                State::NextChunk => {
                    self.next_chunk(from)?;
                    continue;
                }
                State::Length(left) | State::Chunk(left) => left,
                State::UntilClose => u64::MAX,
            };
            let available = match from.fill_buf() {
                // A child that exits may interrupt a read that has a timeout. Other readers of the
                // standard library retry by themselves.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                available => available?,
            };
            let length = available.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
            let data = available[..length].to_vec();
            from.consume(length);
            match &mut self.state {
                State::UntilClose if length == 0 => return Ok(None),
                _ if length == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                State::Length(left) => *left -= length as u64,
                State::Chunk(left) if *left == length as u64 => self.state = State::ChunkEnd,
                State::Chunk(left) => *left -= length as u64,
                State::UntilClose | State::ChunkEnd | State::NextChunk | State::Done => {}
            }
            return Ok(Some(data));
        }
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Length(0))
    }

    /// The trailer section, byte for byte.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn next_chunk(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        let line = read_line(from)?;
        let size = text(&line).split(';').next().unwrap_or_default().trim();
        self.state = match u64::from_str_radix(size, 16) {
            Err(_) => return Err(invalid(format!("a chunk's size: {:?}", text(&line)))),
            Ok(0) => loop {
                let line = read_line(from)?;
                if matches!(line.as_slice(), b"\r\n" | b"\n") {
                    break State::Done;
                }
                self.trailers.extend(line);
            },
            Ok(size) => State::Chunk(size),
        };
        Ok(())
    }
}

fn expect_line_end(from: &mut impl BufRead) -> io::Result<()> {
    match read_line(from)?.as_slice() {
        b"\r\n" => Ok(()),
        line => Err(invalid(format!("after a chunk: {:?}", text(line)))),
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Bytes that are not UTF-8 become a text that matches nothing.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("<not UTF-8>")
}
