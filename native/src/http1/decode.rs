use super::head::push_trailers;
use super::{Fields, Framing};

/// Finds the data and the end of a body in what is read of it (RFC 9112 sections 6 and 7.1).
#[derive(Debug)]
pub struct Decoder {
    state: State,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So much is left to the end of the body.
    Length(u64),
    /// A line with the size of a chunk comes next.
    Size,
    /// So much is left to the end of the chunk.
    Chunk(u64),
    /// The end of the line after a chunk's data.
    ChunkEnd,
    Trailers,
    UntilClose,
    Ended,
}

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes are no data, and used now.
    Skip(usize),
    /// So many bytes are data.
    Data(usize),
    /// More has to be read.
    More,
    /// The body has ended.
    End,
}

/// What is no body in chunks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} in a body in chunks, found something else")]
pub struct MalformedBody {
    expected: &'static str,
}

/// The longest line with a chunk's size, extensions included, in bytes.
const MAX_SIZE_LINE: usize = 4096;
/// The longest trailer section, in bytes.
const MAX_TRAILERS: usize = 16 * 1024;

impl Decoder {
    /// For a body framed like this.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: Fields::default() }
    }

    /// What `input`, read and not yet used, begins with.
    ///
    /// # Errors
    ///
    /// It is not what the framing makes expect.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, MalformedBody> {
        match self.state {
            State::Ended => Ok(Step::End),
            State::Length(left) | State::Chunk(left) => Ok(data(input, left)),
            State::UntilClose => Ok(data(input, u64::MAX)),
            State::Size => self.size(input),
            State::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Step::Skip(2))
                }
                [] | [b'\r'] => Ok(Step::More),
                _ => Err(MalformedBody { expected: "the end of a chunk" }),
            },
            State::Trailers => self.trailer_section(input),
        }
    }

    /// Says that `count` bytes of the data were used.
    pub fn used(&mut self, count: usize) {
        self.state = match self.state {
            State::Length(left) => match left.saturating_sub(count as u64) {
                0 => State::Ended,
                left => State::Length(left),
            },
            State::Chunk(left) => match left.saturating_sub(count as u64) {
                0 => State::ChunkEnd,
                left => State::Chunk(left),
            },
            other => other,
        };
    }

    /// The connection has ended; whether that is the end of the body, too.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Ended;
        }
        self.state == State::Ended
    }

    /// What came after the last chunk.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    fn size(&mut self, input: &[u8]) -> Result<Step, MalformedBody> {
        const EXPECTED: MalformedBody = MalformedBody { expected: "the size of a chunk" };
        let start = input.get(..MAX_SIZE_LINE).unwrap_or(input);
        let Some(end) = start.iter().position(|b| *b == b'\n') else {
            let too_long = input.len() >= MAX_SIZE_LINE;
            return if too_long { Err(EXPECTED) } else { Ok(Step::More) };
        };
        let line = start.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(EXPECTED)?;
        self.state = match parse_size(line).ok_or(EXPECTED)? {
            0 => State::Trailers,
            size => State::Chunk(size),
        };
        Ok(Step::Skip(end + 1))
    }

    fn trailer_section(&mut self, input: &[u8]) -> Result<Step, MalformedBody> {
        const EXPECTED: MalformedBody = MalformedBody { expected: "header fields after the end" };
        if input.starts_with(b"\r\n") {
            self.state = State::Ended;
            return Ok(Step::Skip(2));
        }
        match push_trailers(&mut self.trailers, input).map_err(|_| EXPECTED)? {
            Some(length) if length <= MAX_TRAILERS => {
                self.state = State::Ended;
                Ok(Step::Skip(length))
            }
            None if input.len() <= MAX_TRAILERS => Ok(Step::More),
            _ => Err(EXPECTED),
        }
    }
}

fn data(input: &[u8], left: u64) -> Step {
    match usize::try_from(left).unwrap_or(usize::MAX).min(input.len()) {
        0 => Step::More,
        length => Step::Data(length),
    }
}

/// At most 15 hexadecimal digits, then nothing or extensions, which are for this hop alone.
fn parse_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits)?;
    let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let extensions = rest.get(blanks..)?;
    if digits.len() > 15
        || !(extensions.is_empty() || extensions.starts_with(b";"))
        || extensions.iter().any(|b| b.is_ascii_control() && *b != b'\t')
    {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data and the trailers of a body that comes in pieces of `piece` bytes, and what is left of
    /// the input.
    fn decode(framing: Framing, input: &[u8], piece: usize) -> Option<(Vec<u8>, String, usize)> {
        let (mut decoder, mut data) = (Decoder::new(framing), Vec::new());
        let (mut used, mut read) = (0, 0);
        loop {
            match decoder.step(&input[used..read]).ok()? {
                Step::Skip(count) => used += count,
                Step::Data(count) => {
                    data.extend_from_slice(&input[used..used + count]);
                    used += count;
                    decoder.used(count);
                }
                Step::More if read == input.len() => {
                    if !decoder.close() {
                        return None;
                    }
                }
                Step::More => read = input.len().min(read + piece),
                Step::End => {
                    let trailers = String::from_utf8(decoder.trailers.as_bytes().to_vec()).unwrap();
                    return Some((data, trailers, input.len() - used));
                }
            }
        }
    }

    #[test]
    fn bodies() {
        for (framing, input, data, trailers, left) in [
            (Framing::Empty, "GET", "", "", 3),
            (Framing::Length(4), "bodyGET", "body", "", 3),
            (Framing::UntilClose, "body", "body", "", 0),
            (Framing::UntilClose, "", "", "", 0),
            (Framing::Chunked, "2\r\nbo\r\n02;x=\"y\"\r\ndy\r\n0\r\n\r\nGET", "body", "", 3),
            (Framing::Chunked, "4 ;x\r\nbody\r\n0\r\nX-Sum:1\r\n\r\nG", "body", "X-Sum: 1\r\n", 1),
            (Framing::Chunked, "000\r\nTE: 1\r\nB: 2\r\nHost: 3\r\n\r\n", "", "B: 2\r\n", 0),
        ] {
            for piece in 1..=input.len().max(1) {
                let found = decode(framing, input.as_bytes(), piece);
                let expected = Some((data.as_bytes().to_vec(), trailers.to_owned(), left));
                assert_eq!(found, expected, "{input:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_none() {
        let long_line = format!("4;{}\r\nbody\r\n0\r\n\r\n", "x".repeat(MAX_SIZE_LINE));
        let long_trailers = format!("0\r\nx: {}\r\n\r\n", "x".repeat(MAX_TRAILERS));
        for input in [
            "",
            "4\r\nbody",
            "4\r\nbody\r\n",
            "4\r\nbody\r\n0\r\n",
            "4\nbody\r\n0\r\n\r\n",
            "4\r\r\nbody\r\n0\r\n\r\n",
            "4\r\nbodyx\r\n0\r\n\r\n",
            "4\r\nbody\n0\r\n\r\n",
            "-4\r\nbody\r\n0\r\n\r\n",
            "0x4\r\nbody\r\n0\r\n\r\n",
            " 4\r\nbody\r\n0\r\n\r\n",
            "4 4\r\nbody\r\n0\r\n\r\n",
            "4;\r\r\nbody\r\n0\r\n\r\n",
            "\r\n",
            ";x\r\n\r\n",
            "1000000000000000\r\nbody\r\n0\r\n\r\n",
            "0\r\nno field\r\n\r\n",
            &long_line,
            &long_trailers,
        ] {
            for piece in [1, 7, input.len().max(1)] {
                assert_eq!(decode(Framing::Chunked, input.as_bytes(), piece), None, "{input:.50?}");
            }
        }
        assert_eq!(decode(Framing::Length(5), b"body", 4), None);
    }

    proptest! {
        /// However it is read, it is the same.
        #[test]
        fn pieces_make_no_difference(
            input in "[0-2a-fA-F;\r\n: x-]{0,40}",
            piece in 1usize..8,
        ) {
            let whole = decode(Framing::Chunked, input.as_bytes(), input.len().max(1));
            prop_assert_eq!(decode(Framing::Chunked, input.as_bytes(), piece), whole);
        }
    }
}
