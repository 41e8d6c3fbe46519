//! An upstream for `tests/load`: on the port given it reads whatever body comes, and answers `{}`;
//! a target that ends in `/slow` gets its answer 100 ms later.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use stories::http1::{Body, Head};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| io::Error::other("usage: load-upstream <port>"))?;
    for stream in TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.incoming() {
        let stream = stream?;
        // A connection that breaks is its client's affair.
        thread::spawn(move || serve(&stream));
    }
    Ok(())
}

fn serve(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::with_capacity(256 * 1024, stream);
    while let Some(head) = Head::read(&mut from)? {
        let mut body = Body::of_request(&head);
        while body.next(&mut from)?.is_some() {}
        if head.word(1).ends_with("/slow") {
            thread::sleep(Duration::from_millis(100));
        }
        stream.write_all(ANSWER)?;
    }
    Ok(())
}
