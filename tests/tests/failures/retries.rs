//! Which requests are retried, how, and how often (docs/compatibility.md, F1).

use std::collections::HashSet;
use support::{ClosedPort, Proxy, Request, Response, ScriptedResponse, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

/// The default size of the replay buffer.
const REPLAY_BUFFER: usize = 1024 * 1024;

#[test]
fn a_5xx_response_is_retried() {
    for status in [500, 502, 503, 504, 599] {
        let (response, requests) =
            exchange([ScriptedResponse::status(status), ScriptedResponse::ok("up")], GET);
        assert_eq!((response.status(), response.text(), requests.len()), (200, "up", 2));
    }
}

#[test]
fn a_4xx_response_is_not_retried() {
    for status in [400, 401, 404, 409, 429] {
        let (response, requests) =
            exchange([ScriptedResponse::status(status), ScriptedResponse::ok("")], GET);
        assert_eq!((response.status(), requests.len()), (status, 1));
    }
}

#[test]
fn a_connection_that_ends_without_a_response_is_retried() {
    for end in [ScriptedResponse::nothing().then_close(), ScriptedResponse::nothing().then_reset()]
    {
        let half = ScriptedResponse::bytes("HTTP/1.1 200 \r\nContent-Le").then_close();
        let (response, requests) = exchange([end, half, ScriptedResponse::ok("up")], GET);
        assert_eq!((response.status(), response.text(), requests.len()), (200, "up", 3));
    }
}

#[test]
fn an_upstream_that_is_not_up_yet_is_retried() {
    let port = ClosedPort::take();
    let debug = ["--log-level", "debug"];
    let proxy = Proxy::in_front_of(port.root_url()).args(debug).start();
    let mut client = proxy.connect();
    client.send(GET);
    proxy.wait_for_log("retrying");
    let upstream = Upstream::start_at(port, [ScriptedResponse::ok("up")]);
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn after_five_retries_the_last_response_is_forwarded_unchanged() {
    let upstream = Upstream::start(|request: &Request| {
        ScriptedResponse::new(
            503,
            &[("x-attempt", &request.index.to_string()), ("x-attempt", "2nd")],
            "busy",
        )
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange(GET);
    assert_eq!((response.status(), response.text(), response.complete), (503, "busy", true));
    assert_eq!(response.head.all("x-attempt"), ["5", "2nd"]);
    assert_eq!(upstream.requests().len(), 6);
    proxy.wait_for_log("attempts=6");
}

#[test]
fn after_five_retries_without_a_response_the_error_has_the_reason() {
    let (response, requests) = exchange([ScriptedResponse::nothing().then_close()], GET);
    assert_eq!((response.status(), requests.len()), (502, 6));
    assert_eq!(response.json()["code"], "UpstreamUnreachable");
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn an_earlier_response_is_forwarded_when_later_attempts_get_none() {
    let busy = ScriptedResponse::new(503, &[("x-kept", "1")], "busy");
    let nothing = ScriptedResponse::nothing().then_reset();
    let (response, requests) = exchange([ScriptedResponse::status(500), busy, nothing], GET);
    assert_eq!((response.status(), response.text(), response.complete), (503, "busy", true));
    // The third attempt was sent twice: first on the connection of the second, which might have been
    // closed while it was idle.
    assert_eq!((response.header("x-kept"), requests.len()), (Some("1"), 7));
}

#[test]
fn each_attempt_is_signed_afresh() {
    let (_, requests) = exchange([ScriptedResponse::status(503)], GET);
    let nonces: HashSet<&str> = requests.iter().map(|it| attribute(it, "nonce")).collect();
    let macs: HashSet<&str> = requests.iter().map(|it| attribute(it, "mac")).collect();
    assert_eq!((requests.len(), nonces.len(), macs.len()), (6, 6, 6));
    let times: Vec<u64> = requests.iter().map(|it| attribute(it, "ts").parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn attempts_differ_only_in_their_signature() {
    let request = "PUT /api/a/v1/%2f//?b HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nX-Twice: 2\r\n\
                   Content-Length: 3\r\n\r\nabc";
    let (_, requests) =
        exchange([ScriptedResponse::status(503), ScriptedResponse::ok("")], request);
    let unsigned = |request: &Request| {
        let headers =
            request.head.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        let headers = headers.map(|(name, value)| format!("{name}: {value}"));
        (request.head.start_line().to_owned(), headers.collect::<Vec<_>>(), request.body.clone())
    };
    let [first, second] = requests.try_into().unwrap();
    assert_eq!(unsigned(&first), unsigned(&second));
}

#[test]
fn each_attempt_sends_the_whole_body() {
    for request in [put(REPLAY_BUFFER), chunked(&["a".repeat(1000), "b".repeat(REPLAY_BUFFER / 2)])]
    {
        let responses = [
            ScriptedResponse::status(503),
            ScriptedResponse::nothing().then_close(),
            ScriptedResponse::ok(""),
        ];
        let (response, requests) = exchange(responses, &request);
        assert_eq!((response.status(), requests.len()), (200, 3));
        for request in &requests {
            assert!(request.complete);
            assert_eq!(request.body, requests[0].body);
            assert_eq!(request.header("content-length"), requests[0].header("content-length"));
        }
    }
}

#[test]
fn a_body_that_outgrows_the_replay_buffer_is_sent_once() {
    for request in [put(REPLAY_BUFFER + 1), chunked(&["a".repeat(REPLAY_BUFFER), "b".to_owned()])] {
        let responses = [ScriptedResponse::new(503, &[], "busy"), ScriptedResponse::ok("")];
        let (response, requests) = exchange(responses, &request);
        assert_eq!((response.status(), response.text(), requests.len()), (503, "busy", 1));
        assert_eq!(requests[0].body_length, REPLAY_BUFFER as u64 + 1);

        let responses = [ScriptedResponse::nothing().then_close(), ScriptedResponse::ok("")];
        let (response, requests) = exchange(responses, &request);
        assert_eq!((response.status(), requests.len()), (502, 1));
    }
}

#[test]
fn a_body_of_any_size_is_retried_if_nothing_of_it_was_sent() {
    let port = ClosedPort::take();
    let debug = ["--log-level", "debug"];
    let proxy = Proxy::in_front_of(port.root_url()).args(debug).start();
    let mut client = proxy.connect();
    let request = put(5 * REPLAY_BUFFER);
    let (begin, rest) = request.split_at(100);
    client.send(begin);
    proxy.wait_for_log("retrying");
    let upstream = Upstream::start_at(port, [ScriptedResponse::ok("up")]);
    client.send(rest);
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[0].body_length, 5 * REPLAY_BUFFER as u64);
}

#[test]
fn an_early_response_is_forwarded_when_later_attempts_get_none() {
    let busy = ScriptedResponse::new(503, &[], "busy").before_body().then_stall();
    let upstream = Upstream::start([busy, ScriptedResponse::nothing().then_close()]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    upstream.wait_for("a second attempt", |requests| (requests.len() == 2).then_some(()));
    client.send("def");
    let response = client.response();
    assert_eq!((response.status(), response.text(), response.complete), (503, "busy", true));
    assert_eq!(upstream.requests().len(), 6);
    upstream.wait_for_closed_connections(6);
}

#[test]
fn data_that_arrives_between_two_attempts_is_not_lost() {
    let busy = ScriptedResponse::status(503).before_body().then_read_body().then_stall();
    let upstream = Upstream::start([busy, ScriptedResponse::ok("up")]);
    let debug = ["--log-level", "debug"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(debug).start();
    let mut client = proxy.connect();
    let request = put(2 * REPLAY_BUFFER);
    let (begin, rest) = request.split_at(1000);
    client.send(begin);
    proxy.wait_for_log("retrying");
    client.send(rest);
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[1].body_length, 2 * REPLAY_BUFFER as u64);
}

#[test]
fn a_retry_may_begin_while_the_client_is_still_sending() {
    let busy = ScriptedResponse::status(503).before_body().then_stall();
    let upstream = Upstream::start([busy, ScriptedResponse::ok("up")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut client = proxy.connect();
    client.send("POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    upstream.wait_for("a second attempt", |requests| (requests.len() == 2).then_some(()));
    client.send("def");
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[1].body, b"abcdef");
    upstream.wait_for_closed_connections(1);
}

/// A server with one thread accepts a connection when the one before has ended: a response that is kept for
/// later must not keep its connection.
#[test]
fn a_retry_does_not_wait_for_the_connection_of_the_response_before() {
    let busy = |body: &str| ScriptedResponse::new(503, &[], body);
    let endless = ScriptedResponse::bytes("HTTP/1.1 503 \r\nContent-Length: 9\r\n\r\nbusy");
    for request in [GET, &put(1000), &chunked(&["abc".to_owned()])] {
        for (first, connections) in [
            (busy(""), 1),
            (busy("busy"), 1),
            (busy(&"busy".repeat(100_000)), 2),
            (endless.clone().then_stall(), 2),
        ] {
            let upstream = Upstream::start_with_one_thread([first, ScriptedResponse::ok("up")]);
            let proxy = Proxy::in_front_of(upstream.root_url()).start();
            assert_eq!(proxy.exchange(request).text(), "up");
            assert_eq!(upstream.connections(), connections);
        }
    }
}

#[test]
fn an_earlier_response_that_is_too_long_to_be_kept_is_not_forwarded() {
    let busy = ScriptedResponse::new(503, &[], "busy".repeat(100_000));
    let (response, requests) = exchange([busy, ScriptedResponse::nothing().then_close()], GET);
    assert_eq!((response.status(), requests.len()), (502, 6));
}

/// The response that a client gets if the upstream responds like this, and the requests that the
/// upstream received.
fn exchange<const N: usize>(
    responses: [ScriptedResponse; N],
    request: impl AsRef<[u8]>,
) -> (Response, Vec<Request>) {
    let upstream = Upstream::start(responses);
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let response = proxy.exchange(request);
    (response, upstream.requests())
}

fn put(length: usize) -> String {
    let head = "PUT /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length";
    let body: String = ('a'..='z').cycle().take(length).collect();
    format!("{head}: {length}\r\n\r\n{body}")
}

fn chunked(chunks: &[String]) -> String {
    let head = "POST /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    format!("{head}{}0\r\n\r\n", chunks.collect::<String>())
}

/// The value of an attribute of the Authorization header.
fn attribute<'a>(request: &'a Request, name: &str) -> &'a str {
    let authorization = request.header("authorization").expect("requests are signed");
    let (_, after) =
        authorization.split_once(&format!("{name}=\"")).expect("a Hawk header has this attribute");
    after.split_once('"').expect("quotes are closed").0
}
