//! Few descriptors (`ulimit -n`): what fits is served, connections to upstreams that are idle make room, and
//! all is well again afterwards.
#![cfg(target_os = "linux")] // Descriptors are counted in /proc.

use crate::floods::until;
use std::process::Command;
use support::{Connection, Latch, Proxy, ProxyBuilder, Request, ScriptedResponse, Tls, Upstream};

const GET: &str = "GET /api/queue/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn with_few_descriptors_as_many_as_fit_are_served_and_the_others_get_503() {
    for (descriptors, served) in [(64, 16), (256, 102)] {
        let upstream = Upstream::start(|_: &Request| ScriptedResponse::ok("up"));
        let proxy = Proxy::in_front_of(upstream.root_url())
            .under(["prlimit", &format!("--nofile={descriptors}")])
            .start();
        let address = proxy.address();
        let clients = (0..300).map(|_| {
            std::thread::spawn(move || {
                let mut client = Connection::open(address);
                client.send(GET);
                let response = client.response();
                match response.status() {
                    // Kept open.
                    200 => Some(client),
                    _ => {
                        response.assert_error(503, "Busy");
                        None
                    }
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        let kept = clients.into_iter().filter_map(|client| client.join().expect("a response"));
        let mut kept: Vec<Connection> = kept.collect();
        assert_eq!(kept.len(), served, "with {descriptors} descriptors");
        // Each has room for its upstream connection, all at once.
        for client in &mut kept {
            client.send(GET);
        }
        for client in &mut kept {
            assert_eq!(client.response().text(), "up");
        }
        drop(kept);
        let response = until("room", || proxy.exchange(GET), |response| response.status() != 503);
        assert_eq!(response.text(), "up");
        assert!(!proxy.whole_log().contains("ERROR"), "{}", proxy.log());
    }
}

#[test]
fn it_recovers_from_running_out_of_descriptors() {
    let latch = Latch::new();
    let upstream = Upstream::start({
        let latch = latch.clone();
        move |request: &Request| match request.target() {
            "/api/queue/v1/slow" => {
                ScriptedResponse::nothing().then_wait(&latch).then("HTTP/1.1 204 \r\n\r\n")
            }
            _ => ScriptedResponse::ok("up"),
        }
    });
    let proxy = Proxy::in_front_of(upstream.root_url()).start();
    let mut first = proxy.connect();
    first.send(GET);
    assert_eq!(first.response().text(), "up");
    limit_descriptors(&proxy, proxy.descriptors() + 9);
    let mut slow: Vec<Connection> = (0..30).map(|_| proxy.connect()).collect();
    for client in &mut slow {
        client.send("GET /queue/v1/slow HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    proxy.wait_for_log("Too many open files");
    // Connections that were accepted before are served: this one has an upstream connection, too.
    first.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(first.response().status(), 404);
    limit_descriptors(&proxy, 1024);
    latch.open();
    for client in &mut slow {
        // A request for which no upstream connection could be opened got an error.
        let status = client.response().status();
        assert!(matches!(status, 204 | 502), "{status}");
    }
    assert_eq!(proxy.exchange(GET).text(), "up");
}

/// A proxy that reaches each of `hosts` over a connection of its own.
fn in_front_of_hosts(hosts: &Tls) -> ProxyBuilder {
    Proxy::in_front_of("https://tc.example.test")
        .env("HTTPS_PROXY", format!("http://{}", hosts.address()))
        .env("SSL_CERT_FILE", hosts.authority())
        .args(["--log-level", "debug"])
}

fn assert_up(client: &mut Connection, host: usize) {
    client.send(format!("GET /h{host}.example.test/x HTTP/1.1\r\nHost: x\r\n\r\n"));
    let response = client.response();
    assert_eq!(response.text(), "up", "host {host}");
}

#[test]
fn idle_connections_to_many_hosts_leave_descriptors_for_others() {
    let upstream = Upstream::start(|_: &Request| ScriptedResponse::ok("up"));
    let http1 = Tls::for_host("*.example.test").behind_proxy();
    for hosts in [http1.clone(), http1.http2()] {
        let hosts = hosts.start(&upstream);
        let proxy = in_front_of_hosts(&hosts).under(["prlimit", "--nofile=64"]).start();
        let before = proxy.descriptors();
        let mut clients = [(); 8].map(|()| proxy.connect());
        for host in 0..80 {
            assert_up(&mut clients[host % 8], host);
        }
        // Sixteen clients are served at once, and so many upstreams have a connection.
        let open = proxy.descriptors();
        assert!(open <= before + 8 + 16 + 1, "{open} are open, {before} were before");
        assert!(!proxy.whole_log().contains("retrying"), "{}", proxy.log());
    }
}

#[test]
fn without_a_descriptor_the_connection_that_was_idle_for_longest_is_closed() {
    let upstream = Upstream::start(|_: &Request| ScriptedResponse::ok("up"));
    let http1 = Tls::for_host("*.example.test").behind_proxy();
    for hosts in [http1.clone(), http1.http2()] {
        let hosts = hosts.start(&upstream);
        let proxy = in_front_of_hosts(&hosts).start();
        let mut client = proxy.connect();
        for host in 0..10 {
            assert_up(&mut client, host);
        }
        limit_descriptors(&proxy, proxy.descriptors());
        for host in 10..40 {
            assert_up(&mut client, host);
        }
        // The latest ones are still there.
        let connects = hosts.connects().len();
        assert_up(&mut client, 39);
        assert_eq!((connects, hosts.connects().len()), (40, 40));
        limit_descriptors(&proxy, 1024);
        assert!(!proxy.whole_log().contains("retrying"), "{}", proxy.log());
    }
}

fn limit_descriptors(proxy: &Proxy, count: usize) {
    let limit = format!("--nofile={count}:");
    let status = Command::new("prlimit").args(["--pid", &proxy.id().to_string(), &limit]).status();
    assert!(status.expect("util-linux has prlimit").success(), "prlimit {limit}");
}
