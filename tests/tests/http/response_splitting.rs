//! Response splitting: the proxy and its clients agree where one response ends and the next one begins, or
//! the client gets an error (RFC 9112 section 11.1).

use support::{Proxy, Request, ScriptedResponse, Upstream};

/// Bytes after the response are discarded, whether they arrive with it or later.
#[test]
fn a_second_response_is_discarded() {
    const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::start(move |request: &Request| match request.index % 2 {
            0 => ScriptedResponse::bytes([first, SECOND].concat()),
            _ => ScriptedResponse::ok(request.target()),
        });
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let mut client = proxy.connect();
        for method in ["GET", "HEAD"] {
            client.send(support::request(method, "/api/queue/v1/one", ""));
            let first_response = client.response_to(method);
            assert!(!first_response.text().contains("forged"), "{first:?}: {first_response:?}");
            client.send(support::request("GET", "/api/queue/v1/two", ""));
            assert_eq!(client.response().text(), "/api/queue/v1/two", "{first:?}");
        }
    }
}

#[test]
fn ambiguous_responses_are_a_502() {
    for response in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nup",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 042 What\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 000 What\r\nContent-Length: 2\r\n\r\nup",
        "HTTP/1.1 99 What\r\nContent-Length: 2\r\n\r\nup",
    ] {
        let upstream = Upstream::start([ScriptedResponse::bytes(response)]);
        let once = ["--retry-budget", "0"];
        let proxy = Proxy::in_front_of(upstream.root_url()).args(once).start();
        let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
        assert!(!message.contains("Set-Cookie"), "{message}");
    }
}
