use super::framing::FramingFields;
use super::{Framing, FramingError};
use http::Method;
use httparse::{Header, Status};
use std::fmt;
use std::mem::MaybeUninit;
use taskcluster_proxy_core::proxy::{HeaderRole, list_members};

/// The most header fields of one message.
pub const MAX_FIELDS: usize = 100;

/// Header fields as lines of HTTP/1.1, none of them for one hop alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// As it came. In it may be a signature.
    pub target: String,
    /// What goes on with the request.
    pub fields: Fields,
    /// `Host`, which does not, as often as it came.
    pub host: Fields,
    /// How the end of its body is found.
    pub framing: Framing,
    /// Whether the client speaks HTTP/1.0, which knows neither chunks nor interim answers.
    pub http10: bool,
    /// Whether the client sends its body only when it is told to (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Whether the client can make use of trailers (RFC 9110 section 10.1.4).
    pub accepts_trailers: bool,
    /// Whether the client wants to use its connection again.
    pub keep_alive: bool,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What the upstream calls it; may be empty.
    pub reason: String,
    /// What goes on with the answer.
    pub fields: Fields,
    /// How the end of its body is found.
    pub framing: Framing,
    /// Whether the connection can be used again.
    pub keep_alive: bool,
}

/// What is no head of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not HTTP.
    #[error("{0}")]
    Malformed(&'static str),
    /// More fields than anybody sends.
    #[error("the head of a message with too large a head: more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// The body has no end that could be found.
    #[error(transparent)]
    Framing(#[from] FramingError),
}

impl Request {
    /// Reads the head that `input` begins with; it and its length, or `None` if it has not all come.
    ///
    /// # Errors
    ///
    /// It is no head of a request.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut []);
        let Status::Complete(length) = head.parse_with_uninit_headers(input, &mut space)? else {
            return Ok(None);
        };
        let http10 = head.version == Some(0);
        let hop = Hop::new(head.headers);
        let mut fields = Fields::with_capacity(length);
        let mut host = Fields::default();
        let mut noted = FramingFields::default();
        let (mut expects_continue, mut accepts_trailers) = (false, false);
        for Header { name, value } in &*head.headers {
            match HeaderRole::of(name) {
                HeaderRole::EndToEnd | HeaderRole::Reply if hop.keeps(name) => {}
                HeaderRole::EndToEnd | HeaderRole::Reply => fields.push(name, value),
                HeaderRole::Expect => {
                    // RFC 9110 section 10.1.1: one in HTTP/1.0 is ignored.
                    expects_continue |= !http10 && value.eq_ignore_ascii_case(b"100-continue");
                    fields.push(name, value);
                }
                HeaderRole::Te => {
                    accepts_trailers |=
                        list_members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                }
                role @ (HeaderRole::ContentLength | HeaderRole::TransferEncoding) => {
                    noted.note(role, value);
                }
                HeaderRole::Host => host.push(name, value),
                HeaderRole::Authorization | HeaderRole::Connection | HeaderRole::HopByHop => {}
            }
        }
        let framing = noted.framing()?.unwrap_or(Framing::Empty);
        if http10 && framing == Framing::Chunked {
            return Err(FramingError::CodingInHttp10.into());
        }
        fields.push_length(&noted);
        let request = Self {
            method: Method::from_bytes(head.method.unwrap_or_default().as_bytes())
                .map_err(|_| HeadError::Malformed("invalid method"))?,
            target: head.path.unwrap_or_default().to_owned(),
            fields,
            host,
            framing,
            http10,
            expects_continue: expects_continue && framing != Framing::Empty,
            accepts_trailers: accepts_trailers && !http10,
            // Where one of two framings counts, the next request may not begin where somebody else
            // sees it begin (RFC 9112 section 6.1).
            keep_alive: hop.keep_alive(http10) && !noted.is_ambiguous(),
        };
        Ok(Some((request, length)))
    }
}

impl Answer {
    /// Reads the head that `input` begins with; it and its length, or `None` if it has not all come.
    /// `bodiless`: the request was one whose answer has no body (HEAD).
    ///
    /// # Errors
    ///
    /// It is no head of an answer.
    pub fn parse(input: &[u8], bodiless: bool) -> Result<Option<(Self, usize)>, HeadError> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut head, input, &mut space)?;
        let Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let http10 = head.version == Some(0);
        let hop = Hop::new(head.headers);
        let mut fields = Fields::with_capacity(length);
        let mut noted = FramingFields::default();
        for Header { name, value } in &*head.headers {
            match HeaderRole::of(name) {
                role if role.passes_with_answers() && !hop.keeps(name) => {
                    fields.push_canonical(name, value);
                }
                role => noted.note(role, value),
            }
        }
        let status = head.code.unwrap_or_default();
        if status < 100 {
            // RFC 9110 section 15: nobody could tell what it means, or read it as three digits.
            return Err(HeadError::Malformed("invalid status line"));
        }
        let framing = noted.framing()?;
        if status != 204 {
            // RFC 9110 section 8.6: whoever believes it would wait for a body there.
            fields.push_length(&noted);
        }
        let framing = match (bodiless, status) {
            (true, _) | (_, 100..=199 | 204 | 304) => Framing::Empty,
            _ => framing.unwrap_or(Framing::UntilClose),
        };
        let answer = Self {
            status,
            reason: head.reason.unwrap_or_default().to_owned(),
            fields,
            framing,
            keep_alive: hop.keep_alive(http10)
                && framing != Framing::UntilClose
                // HTTP/1.0 knows no chunks: who is behind may take something else for the end (RFC
                // 9112 section 6.1).
                && !(http10 && framing == Framing::Chunked)
                && !noted.is_ambiguous(),
        };
        Ok(Some((answer, length)))
    }
}

/// Adds the trailer fields that `input` begins with to `trailers`, but for those that must not come
/// after a body (RFC 9110 section 6.5.1); the length of the section, or `None` if it has not all
/// come.
pub(super) fn push_trailers(
    trailers: &mut Fields,
    input: &[u8],
) -> Result<Option<usize>, HeadError> {
    let mut space = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Status::Complete((length, fields)) = httparse::parse_headers(input, &mut space)? else {
        return Ok(None);
    };
    for Header { name, value } in fields {
        if HeaderRole::of(name) == HeaderRole::EndToEnd {
            trailers.push(name, value);
        }
    }
    Ok(Some(length))
}

impl Fields {
    fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// The lines, each with its end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field whose name and value may stand in a head.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// As [`push`](Self::push), with the name `Written-Like-This`: the Go program does that, and
    /// scripts look for `Location:`.
    pub fn push_canonical(&mut self, name: &str, value: &[u8]) {
        let start = self.0.len();
        self.push(name, value);
        let mut first = true;
        for byte in self.0.iter_mut().skip(start).take(name.len()) {
            *byte = if first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            first = *byte == b'-';
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.split_inclusive(|b| *b == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r\n")?;
            let colon = line.iter().position(|b| *b == b':')?;
            let name = std::str::from_utf8(line.get(..colon)?).ok()?;
            Some((name, line.get(colon + 2..)?))
        })
    }

    /// The first value of the field with this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn push_length(&mut self, noted: &FramingFields) {
        if let Some(length) = noted.length() {
            self.push("Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
    }
}

/// Values may be secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooManyFields,
            httparse::Error::HeaderName => Self::Malformed("invalid header name"),
            httparse::Error::HeaderValue => Self::Malformed("invalid header value"),
            httparse::Error::NewLine => Self::Malformed("invalid line end"),
            httparse::Error::Status => Self::Malformed("invalid status line"),
            httparse::Error::Token => Self::Malformed("invalid request line or header"),
            httparse::Error::Version => Self::Malformed("invalid HTTP version"),
        }
    }
}

/// What `Connection` says (RFC 9110 section 7.6.1).
struct Hop<'a>(Vec<&'a [u8]>);

impl<'a> Hop<'a> {
    fn new(headers: &[Header<'a>]) -> Self {
        let named = headers.iter().filter(|header| header.name.len() == 10);
        let named = named.filter(|header| HeaderRole::of(header.name) == HeaderRole::Connection);
        Self(named.flat_map(|header| list_members(header.value)).collect())
    }

    /// Whether the field is for this hop alone.
    fn keeps(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.eq_ignore_ascii_case(name.as_bytes()))
    }

    fn keep_alive(&self, http10: bool) -> bool {
        !self.keeps("close") && (!http10 || self.keeps("keep-alive"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Result<Request, HeadError> {
        let (request, length) = Request::parse(head.as_bytes())?.expect("a whole head");
        assert_eq!(length, head.len());
        Ok(request)
    }

    fn answer(head: &str) -> Answer {
        Answer::parse(head.as_bytes(), false).unwrap().unwrap().0
    }

    fn lines(fields: &Fields) -> &str {
        std::str::from_utf8(fields.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_for_this_hop_stays() {
        let request = request(
            "PUT /x?y HTTP/1.1\r\nHost: h\r\nConnection: close, X-Hop, Content-Length\r\nx-hop: 1\r\n\
             authorization: Basic x\r\nTE: gzip, Trailers\r\nKeep-Alive: 1\r\nContent-Length: 04\r\n\
             accept:  a/b \r\nExpect: 100-Continue\r\nX-Taskcluster-Endpoint: x\r\n\r\n",
        );
        let request = request.unwrap();
        assert_eq!(
            lines(&request.fields),
            "accept: a/b\r\nExpect: 100-Continue\r\nX-Taskcluster-Endpoint: x\r\nContent-Length: 4\r\n"
        );
        assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/x?y"));
        assert_eq!(request.framing, Framing::Length(4));
        assert!(request.expects_continue && request.accepts_trailers && !request.keep_alive);
    }

    #[test]
    fn what_is_said_of_an_answer() {
        let answer = answer(
            "HTTP/1.1 503 Busy as a bee\r\nx-taskcluster-endpoint: forged\r\nSET-cookie: a\r\n\
             set-cookie: b\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n",
        );
        assert_eq!((answer.status, answer.reason.as_str()), (503, "Busy as a bee"));
        assert_eq!(lines(&answer.fields), "Set-Cookie: a\r\nSet-Cookie: b\r\n");
        assert_eq!((answer.framing, answer.keep_alive), (Framing::Chunked, false));
        assert_eq!(answer.fields.get("set-cookie"), Some(&b"a"[..]));
    }

    #[test]
    fn answers_without_a_body() {
        for (head, bodiless) in [
            ("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n", true),
            ("HTTP/1.1 304 \r\nContent-Length: 3\r\n\r\n", false),
            ("HTTP/1.1 204 \r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\n", false),
        ] {
            let (answer, _) = Answer::parse(head.as_bytes(), bodiless).unwrap().unwrap();
            assert_eq!((answer.framing, answer.keep_alive), (Framing::Empty, true), "{head}");
            let length = answer.fields.get("content-length");
            assert_eq!(length.is_some(), head.contains("Length"), "{head}");
        }
        let nothing = answer("HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n");
        assert_eq!((nothing.fields.as_bytes(), nothing.framing), (&b""[..], Framing::Empty));
    }

    #[test]
    fn connections_that_are_used_again() {
        for (version, connection, expected) in [
            ("1.1", "x", true),
            ("1.1", "x, Close", false),
            ("1.0", "x", false),
            ("1.0", "Keep-Alive", true),
        ] {
            let head =
                format!("/{version}\r\nConnection: {connection}\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(request(&format!("GET / HTTP{head}")).unwrap().keep_alive, expected);
            let head = head.replacen("\r\n", " 200 OK\r\n", 1);
            assert_eq!(answer(&format!("HTTP{head}")).keep_alive, expected);
        }
        assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n").framing, Framing::UntilClose);
        assert!(!answer("HTTP/1.1 200 OK\r\n\r\n").keep_alive);
        let chunks = "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(answer(&format!("HTTP/1.1 200 OK\r\n{chunks}")).keep_alive);
        assert!(!answer(&format!("HTTP/1.0 200 OK\r\n{chunks}")).keep_alive);
    }

    #[test]
    fn statuses_that_are_none() {
        for status in ["000", "042", "099", "20", "1000", "2 0", "-10"] {
            let head = format!("HTTP/1.1 {status} OK\r\n\r\n");
            assert!(Answer::parse(head.as_bytes(), false).is_err(), "{status}");
        }
    }

    #[test]
    fn heads_that_are_none() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
        for (head, expected) in [
            ("GET / HTTP/1.2\r\n\r\n", HeadError::Malformed("invalid HTTP version")),
            ("GET / HTTP/1.1\r\nX : y\r\n\r\n", HeadError::Malformed("invalid header name")),
            (&many, HeadError::TooManyFields),
            (
                "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                HeadError::Framing(FramingError::CodingInHttp10),
            ),
            (
                "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
                HeadError::Framing(FramingError::Coding),
            ),
            (
                "PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                HeadError::Framing(FramingError::Length),
            ),
        ] {
            assert_eq!(request(head).unwrap_err(), expected, "{head:.60?}");
        }
        let whole = "GET / HTTP/1.1\r\nX: y\r\n\r\n";
        for end in 0..whole.len() {
            assert!(Request::parse(&whole.as_bytes()[..end]).unwrap().is_none());
        }
    }
}
