//! An upstream that truncates responses at any byte, without TLS and over TLS: each request gets one
//! response or its connection ends, and a response that looks complete is complete (docs/compatibility.md, F4).

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread;
use support::hawk::Claim;
use support::{Connection, Proxy, Request, Response, ScriptedResponse, Tls, Upstream};

/// A response of each framing, short enough to be truncated at every byte.
const RESPONSES: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nup",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nu\r\n1\r\np\r\n0\r\nX: y\r\n\r\n",
];

#[test]
fn truncated_at_every_byte_of_a_response() {
    for response in RESPONSES {
        let upstream = truncating(response);
        let once = ["--retry-budget", "0"];
        let proxy = Proxy::in_front_of(upstream.root_url()).args(once).start();
        assert_truncation_is_visible(response, &proxy);
    }
}

#[test]
fn truncated_at_every_byte_of_a_response_over_tls() {
    for response in RESPONSES {
        let upstream = truncating(response);
        let tls = Tls::for_host("localhost").start(&upstream);
        let proxy = Proxy::in_front_of(format!("https://localhost:{}", tls.address().port()))
            .env("SSL_CERT_FILE", tls.authority())
            .args(["--retry-budget", "0"])
            .start();
        assert_truncation_is_visible(response, &proxy);
    }
}

/// After the retries the client gets the complete response. Each attempt has its own nonce.
#[test]
fn a_truncated_header_section_is_retried() {
    let response = RESPONSES[0];
    for at in (0..head(response)).step_by(7) {
        let upstream = Upstream::start([
            ScriptedResponse::bytes(&response[..at]).then_reset(),
            ScriptedResponse::bytes(&response[..at]).then_close(),
            ScriptedResponse::bytes(response),
        ]);
        let response = Proxy::in_front_of(upstream.root_url()).start().get("/api/queue/v1/x");
        assert_eq!((response.status(), response.text(), response.complete), (200, "up", true));
        let mut nonces: Vec<String> = upstream
            .requests()
            .iter()
            .map(|request| assert_signed(request, "no-secret").nonce)
            .collect();
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 3);
    }
}

/// Each request is signed with one set of credentials, never with the clientId of one and the key of
/// another.
#[test]
fn credentials_that_change_while_all_else_fails() {
    const ROUNDS: Range<usize> = 0..40;
    let upstream = Upstream::start(|request: &Request| match request.index % 7 {
        0 => ScriptedResponse::status(503),
        1 => ScriptedResponse::nothing().then_reset(),
        2 => ScriptedResponse::bytes("HTTP/1.1 2").then_close(),
        3 => ScriptedResponse::truncated(100, "four"),
        4 => ScriptedResponse::status(500).then_close(),
        _ => ScriptedResponse::ok(request.target()),
    });
    let options = ["--retry-budget", "0.3", "--credentials-drain", "0.05"];
    let proxy = Proxy::in_front_of(upstream.root_url()).args(options).start();
    let responses = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for client in 0..4 {
            let (proxy, responses) = (&proxy, Arc::clone(&responses));
            scope.spawn(move || {
                for round in ROUNDS {
                    let target = format!("/api/queue/v1/{client}/{round}");
                    let response = proxy.call("PUT", &target, "body");
                    responses.lock().unwrap().push((target, response));
                }
            });
        }
        for round in ROUNDS {
            let body = format!(r#"{{"clientId":"client-{round}","accessToken":"token-{round}"}}"#);
            assert_eq!(proxy.call("PUT", "/credentials", body).status(), 200);
        }
    });
    let responses = responses.lock().unwrap();
    assert_eq!(responses.len(), 4 * ROUNDS.len());
    for (target, response) in responses.iter() {
        match response.status() {
            200 if response.complete => assert_eq!(response.text(), target),
            200 => assert_eq!(response.text(), "four"),
            status => assert!(matches!(status, 500 | 502 | 503 | 504), "{status}"),
        }
    }
    for request in upstream.requests().iter().filter(|request| request.complete) {
        let id = Claim::of(request).id;
        match id.strip_prefix("client-") {
            None => drop(assert_signed(request, "no-secret")),
            Some(round) => drop(assert_signed(request, &format!("token-{round}"))),
        }
    }
}

/// Truncates `response` as the target says: `r5` resets the connection after 5 bytes, `c5` closes it.
fn truncating(response: &'static str) -> Upstream {
    Upstream::start(move |request: &Request| match request.target().rsplit_once('/') {
        Some((_, "whole")) => ScriptedResponse::ok("whole"),
        Some((_, at)) => {
            let (way, at) = at.split_at(1);
            let part = ScriptedResponse::bytes(&response[..at.parse().unwrap()]);
            if way == "r" { part.then_reset() } else { part.then_close() }
        }
        None => ScriptedResponse::status(404),
    })
}

/// Fails unless a response that is truncated in the header section is a 502, and one that is truncated
/// in the body does not look complete.
fn assert_truncation_is_visible(whole: &str, proxy: &Proxy) {
    for at in 0..whole.len() {
        for way in ["r", "c"] {
            let mut connection: Connection = proxy.connect();
            connection.send(support::request("GET", &format!("/api/queue/v1/{way}{at}"), ""));
            let response: Response = connection.response();
            match at < head(whole) {
                true => drop(response.assert_error(502, "UpstreamUnreachable")),
                false => {
                    assert_eq!(response.status(), 200, "{whole:?} at {at}");
                    assert!(
                        !response.complete && "up".starts_with(response.text()),
                        "{response:?}"
                    );
                    // Nothing follows on the connection.
                    assert_eq!(connection.read_to_end(), b"");
                }
            }
        }
    }
    assert_eq!(proxy.get("/api/queue/v1/whole").text(), "whole");
}

/// The length of the header section of a response.
fn head(response: &str) -> usize {
    response.find("\r\n\r\n").expect("it has one") + 4
}

fn assert_signed(request: &Request, token: &str) -> Claim {
    Claim::of(request).assert_signed_with(token)
}
