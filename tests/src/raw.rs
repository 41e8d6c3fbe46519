//! An HTTP/1.1 client that sends and reads exact bytes.

use crate::DEADLINE;
use crate::http1::{Body, Head};
use crate::words::assert_in_words;
use std::io::{self, BufReader, ErrorKind, Read as _, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A client connection that sends exact bytes.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// A response, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status line and the header section.
    pub head: Head,
    /// The body as far as it was received, decoded if it was chunked.
    pub body: Vec<u8>,
    /// Whether the body is complete: as long as its Content-Length, or up to the last chunk. A body
    /// that ends with the connection is complete unless the connection was reset.
    pub complete: bool,
    /// The trailer section.
    pub trailers: Vec<u8>,
}

/// Sends one request over a connection of its own, and reads the response.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let mut connection = Connection::open(address);
    connection.send(&request);
    let method = request.as_ref().split(|byte| *byte == b' ').next().unwrap_or_default();
    connection.response_to(&String::from_utf8_lossy(method))
}

/// A request with this method, target and, unless it is empty, body.
pub fn request(method: &str, target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: taskcluster\r\n{length}\r\n");
    [head.as_bytes(), body].concat()
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        stream.set_read_timeout(Some(DEADLINE)).expect("sockets have timeouts");
        stream.set_write_timeout(Some(DEADLINE)).expect("sockets have timeouts");
        // Each write is sent at once.
        stream.set_nodelay(true).expect("sockets have TCP_NODELAY");
        Self { stream: BufReader::new(stream) }
    }

    /// Waits twice as long for data, for tests in which the proxy itself waits half a minute.
    pub fn with_double_timeout(self) -> Self {
        let timeout = Some(2 * DEADLINE);
        self.stream.get_ref().set_read_timeout(timeout).expect("sockets have timeouts");
        self
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("could not send: {error}"));
    }

    /// Sends these bytes to a peer that may have closed the connection.
    ///
    /// # Errors
    ///
    /// The peer has closed it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends zeros until none could be sent for half a second, and returns how many were sent.
    pub fn send_until_blocked(&mut self) -> u64 {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(DEADLINE / 60)).expect("sockets have timeouts");
        let mut sent = 0;
        while let Ok(length) = stream.write(&[0; 64 * 1024]) {
            sent += length as u64;
        }
        stream.set_write_timeout(Some(DEADLINE)).expect("sockets have timeouts");
        sent
    }

    /// Sends so many zeros.
    pub fn send_zeros(&mut self, length: u64) {
        send_zeros(self.stream.get_mut(), length);
    }

    /// Sends so many zeros from a thread of its own, while this one reads.
    pub fn send_zeros_meanwhile(&self, length: u64) -> JoinHandle<()> {
        let mut stream = self.stream.get_ref().try_clone().expect("a socket can be shared");
        thread::spawn(move || send_zeros(&mut stream, length))
    }

    /// Closes the writing side of the connection.
    pub fn finish_sending(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("a socket can be half closed");
    }

    /// Reads the next response, final or interim, to a request other than HEAD.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the next response, to a request with this method.
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = self.head();
        let mut framing = Body::of_response(&head, method);
        let mut body = Vec::new();
        let complete = loop {
            match self.body_data(&mut framing) {
                Ok(Some(data)) => body.extend(data),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let response = Response { head, body, complete, trailers: framing.trailers().to_vec() };
        response.assert_in_words();
        response
    }

    /// Reads only the header section of a response; [`body_until`](Self::body_until) reads its body.
    pub fn head(&mut self) -> Head {
        self.head_or_end().expect("the connection was closed without a response")
    }

    /// Like [`head`](Self::head); `None` if the peer closes or resets the connection instead.
    pub fn head_or_end(&mut self) -> Option<Head> {
        match Head::read(&mut self.stream) {
            Ok(head) => head,
            Err(error) if timed_out(&error) => panic!("no response: {error}"),
            Err(_) => None,
        }
    }

    /// Reads the next bytes of a body, as soon as there are any; `None` at its end.
    ///
    /// # Errors
    ///
    /// The connection is reset, or closed before the end of the body.
    pub fn body_data(&mut self, body: &mut Body) -> io::Result<Option<Vec<u8>>> {
        let data = body.next(&mut self.stream);
        if let Err(error) = &data
            && timed_out(error)
        {
            panic!("no more of the body was received: {body:?}");
        }
        data
    }

    /// Reads a body until the received bytes end in `end`, and no further.
    pub fn body_until(&mut self, body: &mut Body, end: impl AsRef<[u8]>) -> Vec<u8> {
        let mut received = Vec::new();
        while !received.ends_with(end.as_ref()) {
            match body.next(&mut self.stream) {
                Ok(Some(data)) => received.extend(data),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&received)),
            }
        }
        received
    }

    /// Reads a body to its end without keeping it, and returns its length.
    pub fn body_length(&mut self, body: &mut Body) -> u64 {
        let mut length = 0;
        loop {
            match body.next(&mut self.stream) {
                Ok(Some(data)) => length += data.len() as u64,
                Ok(None) => return length,
                Err(error) => panic!("{error} after {length} bytes"),
            }
        }
    }

    /// Reads until the peer closes or resets the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if timed_out(&error) => panic!("the connection stays open"),
            _ => rest,
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("sockets have SO_LINGER");
    }

    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().expect("a connected socket has an address")
    }
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap_or_else(|_| panic!("no status: {:?}", self.head))
    }

    /// The value of the first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Neither an error nor a diagnosis is Rust's debug output.
    fn assert_in_words(&self) {
        assert_in_words(self.header("x-taskcluster-proxy-diagnosis").unwrap_or_default());
        if self.status() >= 400 && self.header("content-type") == Some("application/json") {
            assert_in_words(&String::from_utf8_lossy(&self.body));
        }
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON: {error}: {:?}", self.text()))
    }

    /// Fails unless this is an error in the format of Taskcluster's services with this status and
    /// `code`; returns its message.
    pub fn assert_error(&self, status: u16, code: &str) -> String {
        let error = self.json();
        let expected = serde_json::json!({ "code": code, "message": error["message"] });
        assert_eq!((self.status(), &error), (status, &expected));
        assert_eq!(self.header("content-type"), Some("application/json"));
        error["message"].as_str().expect("a message is text").to_owned()
    }
}

fn send_zeros(stream: &mut TcpStream, length: u64) {
    let sent = io::copy(&mut io::repeat(0).take(length), stream);
    assert_eq!(sent.expect("the proxy reads the body"), length);
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
