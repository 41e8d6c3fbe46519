//! A client that does not read cannot starve another one, and memory stays bounded.

use crate::http2::{MIB, get};
use support::http1::Body;
use support::{Connection, Http2Response, Http2Upstream, Latch, Proxy, Request};

#[test]
fn three_stalled_downloads_do_not_starve_another_request() {
    let upstream = downloads();
    let proxy = upstream.proxy().start();
    let mut stalled = stall(&proxy, &upstream, 3);
    assert_serves_others(&proxy);
    for client in &mut stalled {
        client.resume();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_hundred_stalled_downloads_do_not_starve_another_request_in_bounded_memory() {
    let upstream = downloads();
    let proxy = upstream.proxy().start();
    let mut stalled = stall(&proxy, &upstream, 100);
    assert_serves_others(&proxy);
    // 100 windows of 512 KiB, and the buffers of the sockets to the clients.
    assert_below(proxy.peak_memory(), 96 * MIB);
    // A client that reads on gets the data that is buffered for it.
    stalled[0].resume();
    stalled[99].resume();
    assert_below(proxy.peak_memory(), 96 * MIB);
}

#[test]
fn aborted_downloads_release_their_windows() {
    let upstream = downloads();
    let proxy = upstream.proxy().start();
    for _ in 0..5 {
        drop(stall(&proxy, &upstream, 3));
        assert_serves_others(&proxy);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_upload_of_100_mib_respects_flow_control_in_flat_memory() {
    let latch = Latch::new();
    let response = Http2Response::nothing().before_body().then_wait(&latch).then_read_body();
    let response = response.then_head(200, &[("content-length", "2")]).then("up").then_end();
    let upstream = Http2Upstream::for_host(crate::http2::HOST).start(move |_| response.clone());
    let proxy = upstream.proxy().start();
    let mut client = upload(&proxy, "/queue/v1/upload");
    // The upstream receives no more than its windows allow.
    let sent = client.send_until_blocked();
    assert_below(sent, 32 * MIB);
    assert_below(proxy.peak_memory(), 24 * MIB);
    latch.open();
    client.send_zeros(100 * MIB - sent);
    assert_eq!(client.response().text(), "up");
    assert_eq!(upstream.requests()[0].body_length, 100 * MIB);
    assert_below(proxy.peak_memory(), 24 * MIB);
}

#[test]
#[cfg(target_os = "linux")]
fn a_request_can_send_and_receive_100_mib_at_once_in_flat_memory() {
    let upstream = Http2Upstream::for_host(crate::http2::HOST)
        .start(|_| Http2Response::large(100 * MIB).while_reading_body());
    let proxy = upstream.proxy().start();
    let mut client = upload(&proxy, "/queue/v1/both");
    let sending = client.send_zeros_meanwhile(100 * MIB);
    assert_eq!(read_download(&mut client), 100 * MIB);
    sending.join().unwrap();
    upstream.wait_for("the upload", |requests| requests[0].complete.then_some(()));
    assert_eq!(upstream.requests()[0].body_length, 100 * MIB);
    assert_below(proxy.peak_memory(), 24 * MIB);
}

#[test]
#[cfg(target_os = "linux")]
fn an_upload_and_a_download_of_100_mib_share_a_connection_in_flat_memory() {
    let upstream = Http2Upstream::for_host(crate::http2::HOST).start(|request: &Request| {
        match request.method() {
            "POST" => Http2Response::ok("up"),
            _ => Http2Response::large(100 * MIB),
        }
    });
    let proxy = upstream.proxy().start();
    let mut uploading = upload(&proxy, "/queue/v1/upload");
    upstream.wait_for_requests(1);
    let mut downloading = get(&proxy, "/queue/v1/download");
    let sending = uploading.send_zeros_meanwhile(100 * MIB);
    assert_eq!(read_download(&mut downloading), 100 * MIB);
    sending.join().unwrap();
    assert_eq!(uploading.response().text(), "up");
    assert_eq!(upstream.requests()[0].body_length, 100 * MIB);
    assert_eq!(upstream.connections(), 1);
    assert_below(proxy.peak_memory(), 24 * MIB);
}

/// The size of the downloads.
const LENGTH: u64 = 64 * MIB;

/// A client that reads no further than the header section of a download.
struct Stalled {
    client: Connection,
    body: Body,
}

fn downloads() -> Http2Upstream {
    Http2Upstream::for_host(crate::http2::HOST).start(|request: &Request| match request.target() {
        "/api/queue/v1/large" => Http2Response::large(LENGTH),
        "/api/queue/v1/mebibyte" => Http2Response::large(MIB),
        _ => Http2Response::ok("up"),
    })
}

fn stall(proxy: &Proxy, upstream: &Http2Upstream, count: usize) -> Vec<Stalled> {
    // This opens a connection, which all of them can share.
    assert_eq!(proxy.get("/queue/v1/small").text(), "up");
    let mut clients: Vec<Connection> = (0..count).map(|_| get(proxy, "/queue/v1/large")).collect();
    let bodies: Vec<Body> =
        clients.iter_mut().map(|client| Body::of_response(&client.head(), "GET")).collect();
    upstream.wait_until_blocked();
    clients.into_iter().zip(bodies).map(|(client, body)| Stalled { client, body }).collect()
}

impl Stalled {
    fn resume(&mut self) {
        assert_eq!(self.client.body_length(&mut self.body), LENGTH);
    }
}

fn assert_serves_others(proxy: &Proxy) {
    for _ in 0..3 {
        assert_eq!(proxy.get("/queue/v1/small").text(), "up");
        let post = proxy.call("POST", "/queue/v1/post", vec![b'x'; 100_000]);
        assert_eq!(post.text(), "up");
        assert_eq!(read_download(&mut get(proxy, "/queue/v1/mebibyte")), MIB);
    }
}

/// A client that has sent the header section of an upload of 100 MiB.
fn upload(proxy: &Proxy, target: &str) -> Connection {
    let mut client = proxy.connect();
    let length = 100 * MIB;
    client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    client
}

fn read_download(client: &mut Connection) -> u64 {
    let head = client.head();
    assert!(head.start_line().starts_with("HTTP/1.1 200"), "{head:?}");
    client.body_length(&mut Body::of_response(&head, "GET"))
}

fn assert_below(found: u64, limit: u64) {
    assert!(found < limit, "expected less than {} MiB, found {}", limit / MIB, found / MIB);
}
