//! If SETTINGS_MAX_CONCURRENT_STREAMS is reached, another connection is opened, up to a limit of
//! connections; beyond it requests get an error that names the limit.

use crate::http2::{error, get};
use std::sync::mpsc::channel;
use std::thread;
use support::{Connection, Http2Response, Http2Upstream, Latch, Request};

#[test]
fn another_connection_is_opened_if_all_streams_are_in_use() {
    let latch = Latch::new();
    let upstream = long_polls(2, &latch);
    let proxy = upstream.proxy().start();
    // After this response the proxy knows the limit of streams.
    assert_eq!(proxy.get("/queue/v1/other").text(), "up");
    let mut polls: Vec<Connection> = (0..5).map(|_| get(&proxy, "/queue/v1/poll")).collect();
    upstream.wait_for("five long polls at once", |requests| {
        let polls = requests.iter().filter(|request| request.target() == "/api/queue/v1/poll");
        (polls.count() == 5).then_some(())
    });
    assert_eq!(proxy.get("/queue/v1/other").text(), "up");
    let most = upstream.most_open_streams();
    assert!(most.len() > 2 && most.iter().all(|most| *most <= 2), "{most:?}");
    latch.open();
    for poll in &mut polls {
        assert_eq!(poll.response().text(), "polled");
    }
}

#[test]
fn uploads_use_another_connection_if_all_streams_are_in_use() {
    let latch = Latch::new();
    let upstream = long_polls(1, &latch);
    let proxy = upstream.proxy().start();
    assert_eq!(proxy.get("/queue/v1/other").text(), "up");
    let mut poll = get(&proxy, "/queue/v1/poll");
    upstream.wait_for_requests(2);
    for target in ["/queue/v1/upload", "/files.example.test/upload"] {
        let response = proxy.call("POST", target, vec![b'x'; 1_000_000]);
        assert_eq!(response.text(), "up", "{target}");
    }
    assert!(upstream.most_open_streams().iter().all(|most| *most <= 1));
    assert_eq!(upstream.count("/api/queue/v1/poll"), 1);
    latch.open();
    assert_eq!(poll.response().text(), "polled");
}

#[test]
fn beyond_the_limit_of_connections_a_request_gets_an_error_that_names_it() {
    const CLIENTS: usize = 200;
    let latch = Latch::new();
    let upstream = long_polls(1, &latch);
    let limits = ["--connect-timeout", "0.5", "--retry-budget", "0"];
    let proxy = upstream.proxy().args(limits).start();
    assert_eq!(proxy.get("/queue/v1/other").text(), "up");
    let (sender, responses) = channel();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let mut poll = get(&proxy, "/queue/v1/poll");
            let sender = sender.clone();
            scope.spawn(move || sender.send(poll.response()));
        }
        drop(sender);
        // As no long poll has ended, the first response is an error.
        let first = responses.recv().expect("each client gets a response");
        let message = error(&first, &[503, 504]);
        // On a slow machine the limit of connections may not be reached by then.
        let expected =
            ["accepts no further concurrent requests", "another request is still connecting"];
        assert!(expected.iter().any(|expected| message.contains(expected)), "{message}");
        assert!(message.contains("https://files.example.test"), "{message}");
        latch.open();
    });
    let polled = responses.iter().filter(|response| response.status() == 200).count();
    assert!(polled > 1, "{polled} of {CLIENTS} were served");
    assert!(upstream.connections() < CLIENTS, "no limit of connections");
    assert_eq!(proxy.get("/queue/v1/other").text(), "up");
}

/// An upstream that allows this many streams on a connection; `/queue/v1/poll` waits for the latch.
fn long_polls(streams: u32, latch: &Latch) -> Http2Upstream {
    let latch = latch.clone();
    Http2Upstream::for_host(crate::http2::HOST).max_concurrent_streams(streams).start(
        move |request: &Request| match request.target() {
            "/api/queue/v1/poll" => {
                let poll = Http2Response::nothing().then_wait(&latch);
                poll.then_head(200, &[]).then("polled").then_end()
            }
            _ => Http2Response::ok("up"),
        },
    )
}
