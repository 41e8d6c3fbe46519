use super::{Answer, Buffer, Decoder, Encoder, Fields, Framing, HeadError, MalformedBody, Request};
use super::{Step, Stream};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A connection: one message is read from it and one written to it at a time.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    input: Buffer,
    decoder: Decoder,
    encoder: Encoder,
    /// How much of a head was looked at without finding its end.
    looked_at: usize,
    /// Writing failed. The system tells of a reset once: to a reader it looks like an orderly end
    /// then, and a body that is cut short like a complete one.
    broken: bool,
    traffic: Traffic,
    /// When to look again whether the other side is gone, while nothing is read.
    probe: Option<Pin<Box<Sleep>>>,
}

/// How much of bodies went over a connection so far, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read and used.
    pub received: u64,
    /// Written.
    pub sent: u64,
}

impl Traffic {
    /// What has come and gone since it was `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { received: self.received - earlier.received, sent: self.sent - earlier.sent }
    }
}

/// So often it is looked whether a connection that is not read from has ended: nothing else tells.
const PROBE: Duration = Duration::from_secs(2);

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Data, in [`Wire::piece`].
    Data,
    /// Nothing more.
    End,
}

/// Why a message could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The connection ended before it.
    #[error("the connection was closed before the end of the message")]
    Cut,
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// What came is no such message.
    #[error("{0}")]
    Malformed(#[from] MalformedBody),
    /// What came is no head of a message.
    #[error("{0}")]
    Head(#[from] HeadError),
    /// More came of a head than there is room for.
    #[error("too large a head: more than {} KiB", Buffer::SIZE / 1024)]
    HeadTooLarge,
}

impl Wire {
    /// A connection on which nothing was read or written.
    pub fn new(stream: Stream) -> Self {
        let decoder = Decoder::new(Framing::Empty);
        Self {
            stream,
            input: Buffer::default(),
            decoder,
            encoder: Encoder::default(),
            looked_at: 0,
            broken: false,
            traffic: Traffic::default(),
            probe: None,
        }
    }

    /// What it runs on.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// What it runs on, if nothing more was read than was used.
    pub fn into_stream(self) -> Option<Stream> {
        self.input.bytes().is_empty().then_some(self.stream)
    }

    /// The head of the next request, its body to follow; `None` where the connection ended instead.
    ///
    /// # Errors
    ///
    /// The connection broke or ended in the middle of it, or it is no head of a request.
    pub fn poll_request(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Request>, BodyError>> {
        loop {
            if self.may_hold_a_head()
                && let Some((request, length)) = Request::parse(self.input.bytes())?
            {
                self.begin_body(length, request.framing);
                self.encoder.rest();
                return Poll::Ready(Ok(Some(request)));
            }
            if !ready!(self.poll_more_of_head(context))? {
                let nothing = self.input.bytes().is_empty();
                return Poll::Ready(if nothing { Ok(None) } else { Err(BodyError::Cut) });
            }
        }
    }

    /// The head of the next answer, its body to follow. `bodiless`: the request was one whose answer
    /// has no body.
    ///
    /// # Errors
    ///
    /// The connection broke or ended, or it is no head of an answer.
    pub fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        bodiless: bool,
    ) -> Poll<Result<Answer, BodyError>> {
        loop {
            if self.may_hold_a_head()
                && let Some((answer, length)) = Answer::parse(self.input.bytes(), bodiless)?
            {
                self.begin_body(length, answer.framing);
                return Poll::Ready(Ok(answer));
            }
            if !ready!(self.poll_more_of_head(context))? {
                return Poll::Ready(Err(BodyError::Cut));
            }
        }
    }

    /// What comes next of the body that is being read.
    ///
    /// # Errors
    ///
    /// The connection broke or ended before its time, or what came is not framed as it should be.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        loop {
            match self.decoder.step(self.input.bytes())? {
                Step::Data(_) => return Poll::Ready(Ok(Piece::Data)),
                Step::End => return Poll::Ready(Ok(Piece::End)),
                Step::Skip(count) => self.input.consume(count),
                Step::More => {
                    let count = ready!(self.input.poll_fill(context, &mut self.stream))?;
                    if count == 0 && (self.broken || !self.decoder.close()) {
                        return Poll::Ready(Err(BodyError::Cut));
                    }
                }
            }
        }
    }

    /// The data of the body that were read and not yet used.
    pub fn piece(&mut self) -> &[u8] {
        match self.decoder.step(self.input.bytes()) {
            Ok(Step::Data(count)) => self.input.bytes().get(..count).unwrap_or_default(),
            _ => &[],
        }
    }

    /// All of the body that follows, framed like this, if there is room for it; it stays to be read.
    pub fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
        framing: Framing,
    ) -> Poll<Option<Vec<u8>>> {
        loop {
            if let Some(whole) = decoded(framing, self.input.bytes()) {
                return Poll::Ready(Some(whole));
            }
            if framing == Framing::UntilClose || self.input.is_full() {
                return Poll::Ready(None);
            }
            match ready!(self.input.poll_fill(context, &mut self.stream)) {
                Ok(1..) => {}
                // Whoever reads the body finds out again.
                Ok(0) | Err(_) => return Poll::Ready(None),
            }
        }
    }

    /// Marks `count` bytes of the data as used.
    pub fn consume(&mut self, count: usize) {
        self.traffic.received += count as u64;
        self.input.consume(count);
        self.decoder.used(count);
    }

    /// As [`consume`](Self::consume), for what must not stay in memory.
    pub fn consume_secret(&mut self, count: usize) {
        self.traffic.received += count as u64;
        self.input.consume_secret(count);
        self.decoder.used(count);
    }

    /// What came after the body.
    pub fn trailers(&self) -> &Fields {
        self.decoder.trailers()
    }

    /// Whether nothing was read that is not yet used.
    pub fn has_nothing_unused(&self) -> bool {
        self.input.bytes().is_empty()
    }

    /// How much of bodies went over it.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether any byte of the message that is being written has left.
    pub fn has_sent(&self) -> bool {
        self.encoder.has_sent()
    }

    /// Reads ahead, as far as there is room, and so notices that the other side is gone: ready only
    /// then. Where there is no room, it takes a while.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.input.is_full() {
            match ready!(self.input.poll_fill(context, &mut self.stream)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        let probe = self.probe.get_or_insert_with(|| Box::pin(sleep(PROBE)));
        loop {
            ready!(probe.as_mut().poll(context));
            // It is readable, so that this is never a wait.
            if let Poll::Ready(Ok(true) | Err(_)) = pin!(self.stream.is_read_closed()).poll(context)
            {
                return Poll::Ready(());
            }
            probe.as_mut().reset(Instant::now() + PROBE);
        }
    }

    /// Begins to write a message with a body framed like this: its head goes into what this returns.
    pub fn begin(&mut self, framing: Framing) -> &mut Vec<u8> {
        self.encoder.begin(framing)
    }

    /// Begins to tell the other side to go on with its body (RFC 9110 section 15.2.1), unless it has
    /// begun.
    pub fn begin_continue(&mut self) {
        if self.has_nothing_unused() {
            let interim = self.encoder.begin_interim();
            interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Takes back the answer that was begun to the request that was read last, if any. `false`: some
    /// of it has left, and it cannot be taken back.
    pub fn take_back(&mut self) -> bool {
        self.encoder.take_back()
    }

    /// Writes some of `data`, which is not empty; how much, which may be nothing.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.encoder.poll_data(context, &mut self.stream, data));
        match &written {
            Ok(count) => self.traffic.sent += *count as u64,
            Err(_) => self.broken = true,
        }
        Poll::Ready(written)
    }

    /// Writes the head, if it is not yet written.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.encoder.poll_flush(context, &mut self.stream));
        self.broken |= flushed.is_err();
        Poll::Ready(flushed)
    }

    /// Writes what is left of the message, and its end.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub fn poll_finish(
        &mut self,
        context: &mut Context<'_>,
        trailers: &Fields,
    ) -> Poll<io::Result<()>> {
        let finished = ready!(self.encoder.poll_finish(context, &mut self.stream, trailers));
        self.broken |= finished.is_err();
        Poll::Ready(finished)
    }

    /// Lets the connection break instead of ending when it is dropped: to whoever takes its end for
    /// the end of a body, nothing else tells that the body is not whole.
    pub fn reset_at_end(&self) {
        // Where that cannot be, it ends as always.
        let _ = self.stream.tcp().map(TcpStream::set_zero_linger);
    }

    /// A head that comes byte by byte is looked at line by line.
    fn may_hold_a_head(&self) -> bool {
        self.input.bytes().get(self.looked_at..).is_some_and(|new| new.contains(&b'\n'))
            || (self.looked_at == 0 && !self.input.bytes().is_empty())
    }

    /// `false` at the end of the connection.
    fn poll_more_of_head(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        if self.input.is_full() {
            return Poll::Ready(Err(BodyError::HeadTooLarge));
        }
        self.looked_at = self.input.bytes().len();
        let count = ready!(self.input.poll_fill(context, &mut self.stream))?;
        Poll::Ready(Ok(count > 0))
    }

    fn begin_body(&mut self, head: usize, framing: Framing) {
        self.input.consume(head);
        self.decoder = Decoder::new(framing);
        self.looked_at = 0;
    }
}

/// The data of a body, if `input` holds all of it.
fn decoded(framing: Framing, input: &[u8]) -> Option<Vec<u8>> {
    let (mut decoder, mut data, mut rest) = (Decoder::new(framing), Vec::new(), input);
    loop {
        let used = match decoder.step(rest).ok()? {
            Step::Skip(count) => count,
            Step::Data(count) => {
                data.extend_from_slice(rest.get(..count)?);
                decoder.used(count);
                count
            }
            Step::More => return None,
            Step::End => return Some(data),
        };
        rest = rest.get(used..)?;
    }
}
