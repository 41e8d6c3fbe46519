//! The port that the proxy listens on (docs/compatibility.md, S7).

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use support::{Proxy, ScriptedResponse, Upstream, request};

#[test]
fn it_listens_on_ipv4_and_ipv6_by_default() {
    let upstream = Upstream::start([ScriptedResponse::ok("hello")]);
    let proxy = Proxy::in_front_of(upstream.root_url()).ip_address(None).start();
    let port = proxy.address().port();
    for address in [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()] {
        let response = support::exchange(address, request("GET", "/api/queue/v1/ping", ""));
        assert_eq!(response.text(), "hello", "{address}");
    }
}

#[test]
fn a_port_in_use_is_reported_at_the_start() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let in_use = other.local_addr().unwrap();
    let builder = Proxy::in_front_of("http://127.0.0.1:1").args(["--ip-address", "127.0.0.1"]);
    let expected = format!(
        "taskcluster-proxy: cannot listen on {in_use}: the port is in use by another program: choose \
         another with --port"
    );
    assert_eq!(builder.args(["-p", &in_use.port().to_string()]).run().error_line(), expected);
}

#[test]
fn probes_of_the_port_are_not_logged() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url()).args(["--log-level", "trace"]).start();
    let before = proxy.whole_log();
    for _ in 0..20 {
        drop(TcpStream::connect(proxy.address()).unwrap());
    }
    proxy.get("/api/queue/v1/x");
    proxy.wait_for_log("/api/queue/v1/x");
    let after = proxy.log();
    let new: Vec<&str> = after.strip_prefix(&before).unwrap().lines().collect();
    assert_eq!(new.len(), 1, "{new:#?}");
}

#[test]
fn the_port_of_a_killed_proxy_is_free_at_once() {
    let upstream = Upstream::start([ScriptedResponse::ok("one"), ScriptedResponse::ok("two")]);
    let builder = Proxy::in_front_of(upstream.root_url());
    let first = builder.clone().start();
    let address = first.address();
    let mut kept_alive = first.connect();
    kept_alive.send(request("GET", "/api/queue/v1/x", ""));
    assert_eq!(kept_alive.response().text(), "one");
    first.kill();
    let second = builder.port(address.port()).start();
    assert_eq!((second.address(), second.get("/api/queue/v1/x").text()), (address, "two"));
    assert_eq!(kept_alive.read_to_end(), b"");
}
