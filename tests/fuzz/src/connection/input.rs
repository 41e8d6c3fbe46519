//! The format of inputs: a byte of flags, the client's bytes, a separator, the upstream's bytes.

/// Separates the bytes of the client and of the upstream.
const SEPARATOR: &[u8] = b"\n---\n";

/// The sizes of writes by both sides, in bytes. The flags of the second to the fourth are printable.
const PIECE_SIZES: [usize; 8] = [1, usize::MAX, 7, 64, 2, 3, 16, 256];

/// The maximum number of writes, as more of them only take more time.
const MAX_PIECES: usize = 64;

/// A parsed input. Bits 0 and 1 of its flags are for the client, 2 and 3 for the upstream, 4 is for
/// retries, 5 to 7 are the index in [`PIECE_SIZES`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) client: Client,
    pub(super) upstream: Upstream,
    pub(super) retries: bool,
    pub(super) client_bytes: &'a [u8],
    pub(super) upstream_bytes: &'a [u8],
    piece_size: usize,
}

/// How the client's bytes are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// They are everything that it sends.
    Raw,
    /// They are the body of one request, with a Content-Length.
    ContentLength,
    /// The same, in chunks.
    Chunked,
    /// The same with a Content-Length, over HTTP/1.0.
    Http10,
}

/// How the upstream's bytes are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    /// They are the body of each response, with a Content-Length.
    ContentLength,
    /// The same, in chunks.
    Chunked,
    /// They are everything that it sends when it has read a request; then it closes the connection.
    Raw,
    /// It sends them when it has read the header section of a request, and again for the next one on
    /// the connection, which it closes if there is none.
    RawEarly,
}

impl<'a> Input<'a> {
    pub(super) fn read(data: &'a [u8]) -> Self {
        let (&flags, rest) = data.split_first().unwrap_or((&0, data));
        let separator = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        let (client_bytes, upstream_bytes) = match separator {
            Some(at) => (&rest[..at], &rest[at + SEPARATOR.len()..]),
            None => (rest, &[][..]),
        };
        Self {
            client: match flags & 3 {
                0 => Client::Raw,
                1 => Client::ContentLength,
                2 => Client::Chunked,
                _ => Client::Http10,
            },
            upstream: match flags >> 2 & 3 {
                0 => Upstream::ContentLength,
                1 => Upstream::Chunked,
                2 => Upstream::Raw,
                _ => Upstream::RawEarly,
            },
            retries: flags & 1 << 4 != 0,
            client_bytes,
            upstream_bytes,
            piece_size: PIECE_SIZES[usize::from(flags >> 5)],
        }
    }

    /// Splits `bytes` into the pieces of each write.
    pub(super) fn pieces<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        bytes.chunks(self.piece_size.max(bytes.len() / MAX_PIECES))
    }

    /// The bytes that the client writes.
    pub(super) fn client_writes(&self) -> Vec<u8> {
        let head =
            |version: &str| format!("POST /api/queue/v1/x HTTP/{version}\r\nHost: proxy\r\n");
        match self.client {
            Client::Raw => self.client_bytes.to_vec(),
            Client::ContentLength => {
                let head = head("1.1") + "Connection: close\r\n";
                self.framed(&head, self.client_bytes, false)
            }
            Client::Chunked => {
                let head = head("1.1") + "Connection: close\r\n";
                self.framed(&head, self.client_bytes, true)
            }
            Client::Http10 => self.framed(&head("1.0"), self.client_bytes, false),
        }
    }

    /// The bytes that the upstream writes for each request.
    pub(super) fn upstream_writes(&self) -> Vec<u8> {
        let head = "HTTP/1.1 200 OK\r\n";
        match self.upstream {
            Upstream::ContentLength => self.framed(head, self.upstream_bytes, false),
            Upstream::Chunked => self.framed(head, self.upstream_bytes, true),
            Upstream::Raw | Upstream::RawEarly => self.upstream_bytes.to_vec(),
        }
    }

    fn framed(&self, head: &str, body: &[u8], chunked: bool) -> Vec<u8> {
        let mut message = head.as_bytes().to_vec();
        if !chunked {
            message.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            message.extend(body);
            return message;
        }
        message.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for piece in self.pieces(body) {
            message.extend(format!("{:x}\r\n", piece.len()).bytes());
            message.extend(piece);
            message.extend(b"\r\n");
        }
        message.extend(b"0\r\n\r\n");
        message
    }
}

impl Upstream {
    /// Whether it sends a valid response to each request.
    pub(super) fn is_well_behaved(self) -> bool {
        matches!(self, Self::ContentLength | Self::Chunked)
    }
}
