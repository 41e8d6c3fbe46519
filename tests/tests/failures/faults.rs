//! Upstreams and clients that misbehave do not affect other requests.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::{Connection, Latch, Proxy, Request, Response, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_response_that_cannot_be_forwarded_is_a_502_without_retries() {
    let many: String = (0..1025).map(|at| format!("X-{at}: 1\r\n")).collect();
    for (response, why) in [
        (format!("HTTP/1.1 200 \r\n{many}Content-Length: 0\r\n\r\n"), "more than 1024 fields"),
        ("HTTP/1.1 101 \r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n".to_owned(), "101"),
        (
            "HTTP/1.1 200 \r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "no transfer coding",
        ),
    ] {
        let upstream = Upstream::start([ScriptedResponse::bytes(response)]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let response = proxy.exchange(GET);
        assert_eq!(response.status(), 502, "{why}");
        let message = response.json()["message"].to_string();
        assert!(message.contains(why), "{message}");
        assert_eq!(upstream.requests().len(), 1, "{why}");
    }
}

#[test]
fn a_response_that_is_not_http_is_a_502() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "<html>no status line</html>\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y",
        "\r\n",
    ] {
        let response = response_to(ScriptedResponse::bytes(garbage).then_close());
        let message = response.assert_error(502, "UpstreamUnreachable");
        assert!(
            message.starts_with("no response from http://127.0.0.1:"),
            "{garbage:?}: {message}"
        );
    }
}

#[test]
fn invalid_content_lengths_are_a_502() {
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 3",
        "Content-Length: -2",
        "Content-Length: two",
        "Content-Length: 99999999999999999999",
    ] {
        let response = ScriptedResponse::bytes(format!("HTTP/1.1 200 \r\n{lengths}\r\n\r\nabc"));
        assert_eq!(response_to(response.then_close()).status(), 502, "{lengths}");
    }
}

/// RFC 9110 section 8.6 allows a recipient to accept or to reject such a length.
#[test]
fn a_length_that_is_repeated_in_a_list_is_one_or_a_502() {
    let response =
        response_to(ScriptedResponse::bytes("HTTP/1.1 200 \r\nContent-Length: 2, 2\r\n\r\nup"));
    let length = response.head.all("content-length");
    match response.status() {
        200 => assert_eq!((response.text(), length), ("up", vec!["2"])),
        status => assert_eq!(status, 502),
    }
}

/// Header fields with two framings, of which Transfer-Encoding counts (RFC 9112 section 6.3).
const TWO_FRAMINGS: [&str; 2] = [
    "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 300",
];

#[test]
fn only_one_of_two_framings_of_a_request_is_forwarded() {
    for lengths in TWO_FRAMINGS {
        let upstream = Upstream::start([ScriptedResponse::ok("up")]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let chunks = "5\r\nabcde\r\n0\r\n\r\n";
        let request = format!("PUT /a/v1/b HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n{chunks}");
        assert_eq!(proxy.exchange(request).text(), "up");
        let [request] = upstream.requests().try_into().unwrap();
        assert_eq!(
            (request.body.as_slice(), request.head.all("content-length")),
            (&b"abcde"[..], vec!["5"])
        );
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

#[test]
fn only_one_of_two_framings_of_a_response_is_forwarded() {
    for lengths in TWO_FRAMINGS {
        let response = ScriptedResponse::bytes(format!("HTTP/1.1 200 \r\n{lengths}\r\n\r\n"));
        let response = response_to(response.then_chunk("abcde").then("0\r\n\r\n"));
        assert_eq!((response.status(), response.text(), response.complete), (200, "abcde", true));
        assert_eq!(response.header("content-length"), None);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_endless_header_section_is_a_502() {
    for line in ["x-large: 0123456789\r\n", "0123456789"] {
        let head = format!("HTTP/1.1 200 \r\nx-first: {}", line.repeat(1024 * 1024 / line.len()));
        let upstream = Upstream::start([ScriptedResponse::bytes(head).then_stall()]);
        let proxy = Proxy::in_front_of(upstream.root_url()).start();
        let clients = [(); 16].map(|()| {
            let mut client = proxy.connect();
            client.send(GET);
            client
        });
        for mut client in clients {
            assert_eq!(client.response().status(), 502);
        }
        assert!(proxy.peak_memory() < 48 * 1024 * 1024);
    }
}

#[test]
fn a_header_section_that_is_too_large_is_a_502_and_affects_no_other_request() {
    for line in ["x-large: 0123456789\r\n", "x-large: 01234567890123456789\r\n"] {
        let upstream = Upstream::start(move |request: &Request| {
            let lines = line.repeat(1024 * 1024 / line.len());
            let head = format!("HTTP/1.1 200 \r\n{lines}Content-Length: 2\r\n\r\n");
            match request.target() {
                "/api/large/v1/head" => ScriptedResponse::bytes(head).then("up"),
                _ => ScriptedResponse::ok("up"),
            }
        });
        let once = ["--retry-budget", "0"];
        let proxy = Proxy::in_front_of(upstream.root_url()).args(once).start();
        let mut client = proxy.connect();
        for _ in 0..3 {
            client.send("GET /large/v1/head HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().status(), 502);
            client.send(GET);
            assert_eq!(client.response().text(), "up");
        }
    }
}

#[test]
fn interim_responses_alone_are_a_502() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 \r\nLink: </x>\r\n\r\n"] {
        for ends in [ScriptedResponse::then_close, ScriptedResponse::then_reset] {
            let response = response_to(ends(ScriptedResponse::bytes(interim.repeat(3))));
            assert_eq!(response.status(), 502, "{interim:?}");
        }
    }
}

#[test]
fn an_upstream_that_closes_at_once_is_a_502() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let root_url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(drop));
    let proxy = Proxy::in_front_of(root_url).start();
    for _ in 0..2 {
        assert_eq!(proxy.exchange(GET).status(), 502);
    }
}

#[test]
fn a_response_sent_byte_by_byte_is_forwarded() {
    let bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n";
    let upstream = Upstream::start([ScriptedResponse::nothing().then_trickle(bytes, MOMENT)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(GET);
        let response = client.response();
        assert_eq!((response.text(), response.complete), ("up", true));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_request_sent_byte_by_byte_is_forwarded() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    for byte in
        "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n"
            .bytes()
    {
        client.send([byte]);
        thread::yield_now();
    }
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[0].body, b"up");
}

#[test]
fn after_a_connection_is_reset_in_a_body_the_next_request_is_served() {
    let upstream = Upstream::start(|request: &Request| match request.index % 2 {
        0 => ScriptedResponse::bytes("HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nfour").then_reset(),
        _ => ScriptedResponse::ok("up"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    for _ in 0..5 {
        assert!(!proxy.exchange(GET).complete);
        assert_eq!(proxy.exchange(GET).text(), "up");
    }
}

#[test]
fn others_are_served_while_an_upstream_stalls() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/stall/v1/nothing" => ScriptedResponse::nothing().then_stall(),
        "/api/stall/v1/head" => ScriptedResponse::bytes("HTTP/1.1 2").then_stall(),
        "/api/stall/v1/body" => {
            ScriptedResponse::bytes("HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nfour").then_stall()
        }
        "/api/stall/v1/upload" => {
            ScriptedResponse::nothing().before_body().then_wait(&Latch::new())
        }
        _ => ScriptedResponse::ok("up"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let stalled = ["nothing", "head", "body", "upload"].map(|target| {
        let mut client = proxy.connect();
        let head = format!("PUT /stall/v1/{target} HTTP/1.1\r\nHost: x\r\n");
        client.send(head + "Content-Length: 100000\r\n\r\n");
        client.send([b'x'; 100_000]);
        client
    });
    upstream.wait_for("the stalled requests", |requests| (requests.len() == 4).then_some(()));
    assert_serves_others(&proxy);
    drop(stalled);
}

#[test]
fn others_are_served_while_a_client_stalls() {
    let upstream = Upstream::start([ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let upload = "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfour";
    let stalled = ["", "G", "GET /a/v1/b HTTP/1.1\r\nHost", upload].map(|begin| {
        let mut client = proxy.connect();
        client.send(begin);
        client
    });
    upstream.wait_for("half an upload", |requests| (requests.len() == 1).then_some(()));
    assert_serves_others(&proxy);
    drop(stalled);
}

#[test]
fn others_are_served_while_a_client_reads_byte_by_byte() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/a/v1/large" => ScriptedResponse::large(1 << 30),
        _ => ScriptedResponse::ok("up"),
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut slow = TcpStream::connect(proxy.address()).unwrap();
    slow.write_all(b"GET /a/v1/large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let served = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !served.load(Ordering::Relaxed) {
                slow.read_exact(&mut [0]).unwrap();
            }
        });
        assert_serves_others(&proxy);
        served.store(true, Ordering::Relaxed);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn five_hundred_requests_at_once_are_served_and_leave_nothing_behind() {
    let mut seen = HashSet::new();
    let upstream = Upstream::start(move |request: &Request| {
        let first = seen.insert(request.target().to_owned());
        match request.target().len() % 4 {
            0 if first => ScriptedResponse::status(503),
            1 if first => ScriptedResponse::nothing().then_reset(),
            2 => ScriptedResponse::ok("up").then_close(),
            _ => ScriptedResponse::ok("up"),
        }
    });
    let idle = ["--upstream-idle-timeout", "0.2"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(idle).start();
    let before = proxy.descriptors();
    let mut clients: Vec<Connection> = (0..500).map(|_| proxy.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let target = format!("/a/v1/{number}/{}", "x".repeat(number % 4));
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "up");
    }
    drop(clients);
    proxy.wait_for_descriptors(before);
}

#[test]
#[cfg(target_os = "linux")]
fn clients_that_disconnect_leave_nothing_behind() {
    let upstream = Upstream::start(|request: &Request| match request.index % 4 {
        0 => ScriptedResponse::status(503),
        1 => ScriptedResponse::nothing().then_stall(),
        2 => ScriptedResponse::large(1 << 30),
        _ => ScriptedResponse::status(413).before_body().then_close(),
    });
    let idle = ["--upstream-idle-timeout", "0.2"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(idle).start();
    let before = proxy.descriptors();
    let clients: Vec<Connection> = (0..100).map(|_| proxy.connect()).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        let head = "PUT /a/v1/b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
        let request = format!("{head}{}", "x".repeat(100));
        client.send(&request[..request.len() - number]);
        if number % 2 == 0 { drop(client) } else { client.reset() }
    }
    proxy.wait_for_descriptors(before);
}

const MOMENT: Duration = Duration::from_millis(1);

/// The response that a client gets if the upstream responds like this, without retries.
fn response_to(response: ScriptedResponse) -> Response {
    let upstream = Upstream::start([response]);
    let once = ["--retry-budget", "0"];
    Proxy::in_front_of(upstream.root_url()).args(once).start().exchange(GET)
}

fn assert_serves_others(proxy: &Proxy) {
    for _ in 0..50 {
        assert_eq!(proxy.exchange(GET).text(), "up");
    }
}
