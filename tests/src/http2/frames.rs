//! HTTP/2 frame by frame, for behaviour that server libraries do not offer: a GOAWAY that leaves
//! streams unprocessed, a connection that ends between two frames.

use super::stream::{FRAME_HEADER, PREFACE};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;

/// One frame (RFC 9113 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream that it belongs to; 0 is the connection.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A connection whose frames a test reads and writes itself, after the connection prefaces.
pub struct Frames {
    stream: Box<dyn Duplex>,
    runtime: Handle,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Frame {
    /// The type of DATA.
    pub const DATA: u8 = 0;
    /// The type of HEADERS.
    pub const HEADERS: u8 = 1;
    /// The type of RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// The type of SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// The type of PING.
    pub const PING: u8 = 6;
    /// The type of GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// The type of WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;

    /// The flag of acknowledgements, of SETTINGS and PING.
    pub const ACK: u8 = 1;
    /// The flag of the last frame of a stream, of DATA and HEADERS.
    pub const END_STREAM: u8 = 1;
    /// The flag of a complete header section, of HEADERS.
    pub const END_HEADERS: u8 = 4;
}

impl Frames {
    /// Exchanges the connection prefaces.
    pub(super) fn start(
        mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        runtime: Handle,
    ) -> io::Result<Self> {
        runtime.block_on(stream.read_exact(&mut [0; PREFACE]))?;
        let mut frames = Self { stream: Box::new(stream), runtime };
        frames.write(Frame::SETTINGS, 0, 0, b"")?;
        Ok(frames)
    }

    /// Reads the next frame. SETTINGS and PING are acknowledged, and the windows are updated
    /// after DATA.
    ///
    /// # Errors
    ///
    /// The connection ends.
    pub fn read(&mut self) -> io::Result<Frame> {
        let mut header = [0; FRAME_HEADER];
        self.runtime.block_on(self.stream.read_exact(&mut header))?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.runtime.block_on(self.stream.read_exact(&mut payload))?;
        let frame = Frame { kind, flags, stream: u32::from_be_bytes(stream), payload };
        match kind {
            Frame::SETTINGS | Frame::PING if flags & Frame::ACK == 0 => {
                let same: &[u8] = if kind == Frame::PING { &frame.payload } else { b"" };
                self.write(kind, Frame::ACK, 0, same)?;
            }
            Frame::DATA if !frame.payload.is_empty() => {
                let length = (frame.payload.len() as u32).to_be_bytes();
                self.write(Frame::WINDOW_UPDATE, 0, 0, &length)?;
                if flags & Frame::END_STREAM == 0 {
                    self.write(Frame::WINDOW_UPDATE, 0, frame.stream, &length)?;
                }
            }
            _ => {}
        }
        Ok(frame)
    }

    /// Reads until a request has ended, and returns its stream.
    ///
    /// # Errors
    ///
    /// The connection ends.
    pub fn read_request(&mut self) -> io::Result<u32> {
        loop {
            let frame = self.read()?;
            let ends = frame.flags & Frame::END_STREAM != 0;
            if ends && matches!(frame.kind, Frame::HEADERS | Frame::DATA) {
                return Ok(frame.stream);
            }
        }
    }

    /// Writes a frame.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        let header = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
        let frame = [&header, payload].concat();
        self.runtime.block_on(self.stream.write_all(&frame))?;
        self.runtime.block_on(self.stream.flush())
    }

    /// Writes a response of status 200 with this body.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn respond(&mut self, stream: u32, body: &[u8]) -> io::Result<()> {
        // Entry 8 of HPACK's static table: `:status: 200`.
        self.write(Frame::HEADERS, Frame::END_HEADERS, stream, &[0x80 | 8])?;
        self.write(Frame::DATA, Frame::END_STREAM, stream, body)
    }

    /// Writes GOAWAY: streams above `last` were not processed (RFC 9113 section 6.8).
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn go_away(&mut self, last: u32, reason: h2::Reason) -> io::Result<()> {
        let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
        self.write(Frame::GOAWAY, 0, 0, &payload)
    }

    /// Reads until the client closes the connection.
    pub fn read_to_end(&mut self) {
        while self.read().is_ok() {}
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}
