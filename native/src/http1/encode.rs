use super::{Fields, Framing, Stream};
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Writes a head and frames the body after it (RFC 9112 sections 6 and 7.1).
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// What goes before any data: a head, the beginning of a chunk.
    ahead: Vec<u8>,
    written: usize,
    /// What is left of the chunk that has begun.
    chunk: usize,
    finished: bool,
    /// Whether any byte of the message has left.
    sent: bool,
    /// Whether another message follows, to the same request.
    interim: bool,
}

const LINE_END: &[u8] = b"\r\n";

/// Data of up to so many bytes are put behind what goes before them and written with it, not by a
/// system call of their own: a small answer, and chunks of a few bytes each, of which one read may
/// bring thousands.
const SMALL: usize = 4 * 1024;
/// Until there are so many bytes to be written.
const MAX_AHEAD: usize = 16 * 1024;

impl Default for Encoder {
    fn default() -> Self {
        Self {
            framing: Framing::Empty,
            ahead: Vec::new(),
            written: 0,
            chunk: 0,
            finished: true,
            sent: false,
            interim: false,
        }
    }
}

impl Encoder {
    /// Begins a message with a body framed like this. The head goes into what this returns; it may
    /// hold another message, one without a body, that is not yet written.
    pub fn begin(&mut self, framing: Framing) -> &mut Vec<u8> {
        (self.framing, self.chunk, self.finished, self.sent) = (framing, 0, false, false);
        self.interim = false;
        &mut self.ahead
    }

    /// Begins a message that has no body and that another one follows, to the same request.
    pub fn begin_interim(&mut self) -> &mut Vec<u8> {
        self.begin(Framing::Empty);
        self.interim = true;
        &mut self.ahead
    }

    /// Says that the message before has ended: what is written next is for another request.
    pub fn rest(&mut self) {
        (self.sent, self.interim) = (false, false);
    }

    /// Takes back the message that was begun since it [rests](Self::rest), if there is one. `false`:
    /// some of it has left, and it cannot be taken back.
    pub fn take_back(&mut self) -> bool {
        let possible = self.written == 0 && (self.interim || !self.sent);
        if possible {
            self.ahead.clear();
            (self.framing, self.chunk, self.finished) = (Framing::Empty, 0, true);
            self.rest();
        }
        possible
    }

    /// Whether any byte of the message has left.
    pub fn has_sent(&self) -> bool {
        self.sent
    }

    /// Writes some of `data`, which is not empty; how much, which may be nothing. What is small waits
    /// for [`poll_flush`](Self::poll_flush) or [`poll_finish`](Self::poll_finish).
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_data(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let chunked = self.framing == Framing::Chunked;
        let small = self.chunk == 0 && data.len() <= SMALL && self.ahead.len() <= MAX_AHEAD;
        if chunked && self.chunk == 0 {
            // Writing to a Vec cannot fail.
            let _ = write!(self.ahead, "{:x}\r\n", data.len());
        }
        if small {
            self.ahead.extend_from_slice(data);
            self.ahead.extend_from_slice(if chunked { LINE_END } else { b"" });
            return Poll::Ready(Ok(data.len()));
        }
        if chunked && self.chunk == 0 {
            self.chunk = data.len();
        }
        let data = match chunked {
            true => data.get(..self.chunk).unwrap_or(data),
            false => data,
        };
        let end = if chunked && data.len() == self.chunk { LINE_END } else { b"" };
        let ahead = self.ahead.get(self.written..).unwrap_or_default();
        let slices = [ahead, data, end].map(IoSlice::new);
        let from = usize::from(ahead.is_empty());
        let to = if end.is_empty() { 2 } else { 3 };
        let slices = slices.get(from..to).unwrap_or_default();
        let mut count = match slices {
            [one] => ready!(Pin::new(stream).poll_write(context, one))?,
            _ => ready!(Pin::new(stream).poll_write_vectored(context, slices))?,
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent = true;
        let of_ahead = count.min(ahead.len());
        self.wrote_ahead(of_ahead);
        count -= of_ahead;
        let of_data = count.min(data.len());
        if chunked {
            self.chunk -= of_data;
            if self.chunk == 0 {
                self.ahead.extend_from_slice(end.get(count - of_data..).unwrap_or_default());
            }
        }
        Poll::Ready(Ok(of_data))
    }

    /// Writes what is left, and the end of the body with `trailers`, where its framing has one.
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_finish(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        trailers: &Fields,
    ) -> Poll<io::Result<()>> {
        if !self.finished {
            self.finished = true;
            if self.framing == Framing::Chunked {
                self.ahead.extend_from_slice(b"0\r\n");
                self.ahead.extend_from_slice(trailers.as_bytes());
                self.ahead.extend_from_slice(LINE_END);
            }
        }
        self.poll_flush(context, stream)
    }

    /// Writes what goes before any data.
    ///
    /// # Errors
    ///
    /// As of `stream`.
    pub fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<()>> {
        while let Some(ahead) = self.ahead.get(self.written..).filter(|ahead| !ahead.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(context, ahead))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.sent = true;
                    self.wrote_ahead(count);
                }
            }
        }
        Pin::new(stream).poll_flush(context)
    }

    fn wrote_ahead(&mut self, count: usize) {
        self.written += count;
        if self.written == self.ahead.len() {
            self.written = 0;
            self.ahead.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    /// What arrives of a message with these pieces of data.
    async fn written(framing: Framing, pieces: &[Vec<u8>], trailers: &Fields) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut peer = listener.accept().await.unwrap().0;
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await.unwrap();
            all
        });
        let (mut stream, mut encoder) = (Stream::Tcp(client), Encoder::default());
        encoder.begin(framing).extend_from_slice(b"head ");
        assert!(!encoder.has_sent());
        for mut piece in pieces.iter().map(Vec::as_slice) {
            while !piece.is_empty() {
                let write =
                    |context: &mut Context<'_>| encoder.poll_data(context, &mut stream, piece);
                let count = poll_fn(write).await.unwrap();
                piece = &piece[count..];
            }
        }
        poll_fn(|context| encoder.poll_finish(context, &mut stream, trailers)).await.unwrap();
        assert!(encoder.has_sent());
        drop(stream);
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn a_body_arrives_as_it_is_framed() {
        let large = vec![b'x'; 3 << 20];
        let pieces = [b"one".to_vec(), large.clone(), b"two".to_vec(), vec![b'y'; SMALL + 1]];
        let whole = written(Framing::UntilClose, &pieces, &Fields::default()).await;
        assert_eq!(whole, [&b"head "[..], &pieces.concat()].concat());
        let mut trailers = Fields::default();
        trailers.push("X-Sum", b"1");
        let chunked = written(Framing::Chunked, &pieces, &trailers).await;
        let chunks = pieces.each_ref().map(|piece| {
            [format!("{:x}\r\n", piece.len()).as_bytes(), piece.as_slice(), b"\r\n"].concat()
        });
        let expected = [b"head ", chunks.concat().as_slice(), b"0\r\nX-Sum: 1\r\n\r\n"].concat();
        assert_eq!(chunked.len(), expected.len());
        assert!(chunked == expected);
    }

    #[tokio::test]
    async fn what_has_left_cannot_be_taken_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut peer = listener.accept().await.unwrap().0;
        let (mut stream, mut encoder) = (Stream::Tcp(client), Encoder::default());
        assert!(encoder.take_back());
        encoder.begin(Framing::Length(1)).extend_from_slice(b"never ");
        assert!(encoder.take_back());
        encoder.begin_interim().extend_from_slice(b"continue ");
        poll_fn(|context| encoder.poll_flush(context, &mut stream)).await.unwrap();
        encoder.begin(Framing::Length(1)).extend_from_slice(b"nor this ");
        assert!(encoder.take_back());
        encoder.begin(Framing::Empty).extend_from_slice(b"answer");
        let none = Fields::default();
        poll_fn(|context| encoder.poll_finish(context, &mut stream, &none)).await.unwrap();
        assert!(!encoder.take_back());
        encoder.rest();
        assert!(encoder.take_back());
        drop(stream);
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"continue answer");
    }

    #[tokio::test]
    async fn small_pieces_do_not_pile_up() {
        let pieces = vec![b"ab".to_vec(); 20_000];
        let chunked = written(Framing::Chunked, &pieces, &Fields::default()).await;
        assert_eq!(chunked.len(), "head ".len() + 20_000 * "2\r\nab\r\n".len() + "0\r\n\r\n".len());
    }
}
