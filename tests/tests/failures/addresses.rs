//! Upstreams whose name has several addresses, some of which do not respond (RFC 8305). Each test
//! has its own `/etc/hosts`.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use support::users::can_switch_users;
use support::{
    ClosedPort, Folder, Proxy, ProxyBuilder, ScriptedResponse, UnresponsiveAddress, Upstream,
    with_hosts,
};

/// The system returns this address before [`SECOND`]: it equals the source address (RFC 6724 section 6,
/// rule 9).
const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Much longer than a test takes that does not wait for it.
const LONG_TIMEOUT: [&str; 2] = ["--connect-timeout", "20"];

/// A proxy in front of `http://tc.example.test:<port>`, a host that has `addresses`.
fn proxy(addresses: &[IpAddr], port: u16, folder: &Folder) -> ProxyBuilder {
    let hosts: String =
        addresses.iter().map(|address| format!("{address} tc.example.test\n")).collect();
    Proxy::in_front_of(format!("http://tc.example.test:{port}"))
        .under(with_hosts(&folder.put("hosts", hosts)))
}

fn can_replace_hosts() -> bool {
    can_switch_users(&[["unshare", "--version"]])
}

/// Two requests, each on its own connection: the first discovers that `dead` does not respond, and the
/// second is not delayed any more.
fn assert_tried_once(dead: IpAddr) {
    if !can_replace_hosts() {
        return;
    }
    let [unresponsive, port] = ClosedPort::take_of([dead, SECOND]);
    let port_number = port.address().port();
    let _unresponsive = UnresponsiveAddress::at(unresponsive);
    let upstream = Upstream::start_at(port, [ScriptedResponse::ok("alive")]);
    let folder = Folder::new();
    let idle = ["--upstream-idle-timeout", "0", "--log-level", "debug"];
    let proxy = proxy(&[dead, SECOND], port_number, &folder).args(LONG_TIMEOUT).args(idle).start();
    let [first, second] = [(); 2].map(|()| {
        let start = Instant::now();
        assert_eq!(proxy.get("/api/queue/v1/x").text(), "alive");
        start.elapsed()
    });
    // A lower bound, which does not depend on speed: the dead address was tried first.
    assert!(first >= Duration::from_millis(250), "{first:?}");
    assert!(second < first, "{second:?}");
    assert_eq!(upstream.connections(), 2);
    proxy.wait_for_log("attempts=1");
}

#[test]
fn an_unresponsive_ipv4_address_is_tried_once() {
    assert_tried_once(FIRST);
}

#[test]
fn an_unresponsive_ipv6_address_is_tried_once() {
    assert_tried_once(Ipv6Addr::LOCALHOST.into());
}

#[test]
fn after_a_refused_connection_the_next_address_is_tried_at_once() {
    if !can_replace_hosts() {
        return;
    }
    let [_refusing, port] = ClosedPort::take_of([FIRST, SECOND]);
    let port_number = port.address().port();
    let upstream = Upstream::start_at(port, [ScriptedResponse::ok("alive")]);
    let folder = Folder::new();
    let proxy = proxy(&[FIRST, SECOND], port_number, &folder).args(LONG_TIMEOUT).start();
    assert_eq!(proxy.get("/api/queue/v1/x").text(), "alive");
    assert_eq!(upstream.connections(), 1);
    proxy.wait_for_log("attempts=1");
}

#[test]
fn connecting_to_unresponsive_addresses_times_out() {
    if !can_replace_hosts() {
        return;
    }
    let unresponsive = ClosedPort::take_of([FIRST, SECOND]).map(UnresponsiveAddress::at);
    let port_number = unresponsive[0].address().port();
    let folder = Folder::new();
    let addresses = [FIRST, SECOND];
    let proxy = proxy(&addresses, port_number, &folder).args(["--connect-timeout", "0.6"]).start();
    let message = proxy.get("/api/queue/v1/x").assert_error(504, "UpstreamTimedOut");
    let expected = format!(
        "no connection within 0.6 s (--connect-timeout): no response from {FIRST}:{port_number}, \
         {SECOND}:{port_number}"
    );
    assert!(message.contains(&expected), "{message}");
    proxy.wait_for_log("attempts=1");
}

/// The error says of each address what happened.
#[test]
fn an_address_that_refuses_is_told_from_one_that_does_not_respond() {
    if !can_replace_hosts() {
        return;
    }
    let [unresponsive, refusing] = ClosedPort::take_of([FIRST, SECOND]);
    let port_number = refusing.address().port();
    let _unresponsive = UnresponsiveAddress::at(unresponsive);
    let folder = Folder::new();
    let addresses = [FIRST, SECOND];
    let proxy = proxy(&addresses, port_number, &folder).args(["--connect-timeout", "1"]).start();
    let message = proxy.get("/api/queue/v1/x").assert_error(504, "UpstreamTimedOut");
    let expected = format!(
        "(--connect-timeout): no response from {FIRST}:{port_number}; {SECOND}:{port_number}: \
         Connection refused"
    );
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn addresses_that_all_refuse_are_all_named() {
    if !can_replace_hosts() {
        return;
    }
    let ports = ClosedPort::take_of([FIRST, SECOND]);
    let port_number = ports[0].address().port();
    let folder = Folder::new();
    let addresses = [FIRST, SECOND];
    let proxy = proxy(&addresses, port_number, &folder).args(["--retry-budget", "0"]).start();
    let message = proxy.get("/api/queue/v1/x").assert_error(502, "UpstreamUnreachable");
    for address in addresses {
        let expected = format!("{address}:{port_number}: Connection refused");
        assert!(message.contains(&expected), "{message}");
    }
}
