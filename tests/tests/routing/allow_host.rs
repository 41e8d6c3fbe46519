//! `--allow-host`, and the hosts that requests in hostname form cannot reach without it.

#![cfg(target_os = "linux")]

use support::users::can_switch_users;
use support::{Folder, Proxy, Response, ScriptedResponse, Upstream, with_hosts};

/// A name that resolves to this machine. The owner of any DNS zone can create one.
const REBOUND: &str = "rebound.example";

fn assert_rejected(response: &Response, why: &str) {
    assert_eq!(
        (response.status(), response.header("content-type")),
        (403, Some("application/json"))
    );
    let text = response.text();
    assert!(text.starts_with("{\"code\":\"Forbidden\"") && text.contains(why), "{text}");
}

#[test]
fn special_addresses_are_rejected() {
    let proxy = Proxy::sandbox().start();
    for (host, why) in [
        ("127.0.0.2", "\\\"127.0.0.2\\\" is at a loopback address"),
        ("0.0.0.0", "at a loopback address"),
        ("169.254.169.254", "at a link-local address"),
        ("168.63.129.16", "at an address of a cloud metadata service"),
        ("127.2", "\\\"127.0.0.2\\\" is at a loopback address"),
        ("a.localhost", "at a loopback address"),
    ] {
        assert_rejected(&proxy.get(&format!("/{host}/latest/meta-data/")), why);
    }
    // The deployment has a loopback address, too, and is allowed.
    assert_eq!(proxy.get("/queue/v1/ping").status(), 200);
}

#[test]
fn with_patterns_only_matching_hosts_are_allowed() {
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .args(["--allow-host", "a.invalid", "--allow-host", "*.b.invalid", "--retry-budget", "0"])
        .start();
    for host in ["c.invalid", "b.invalid", "x.a.invalid", "127.0.0.1"] {
        let response = proxy.get(&format!("/{host}/"));
        assert_rejected(&response, "only the hosts of --allow-host are allowed");
    }
    for host in ["a.invalid", "A.Invalid", "x.b.invalid"] {
        assert_eq!(proxy.get(&format!("/{host}/")).status(), 502, "{host}: there is no such host");
    }
    assert_eq!(proxy.get("/queue/v1/ping").status(), 200);
}

/// The resolved addresses are checked, without retries.
#[test]
fn a_name_that_resolves_to_this_machine_must_be_allowed_by_name() {
    if !can_switch_users(&[["unshare", "--version"]]) {
        return;
    }
    let folder = Folder::new();
    let hosts = format!("127.0.0.1 {REBOUND}\n169.254.169.254 metadata.example\n");
    let hosts = folder.put("hosts", hosts);
    let proxy = || Proxy::sandbox().under(with_hosts(&hosts));
    for patterns in [&[][..], &["--allow-host", "*"], &["--allow-host", "*.example"]] {
        let proxy = proxy().args(patterns).start();
        let response = proxy.get(&format!("/{REBOUND}/"));
        assert_rejected(&response, "\\\"rebound.example\\\" is at a loopback address");
        assert_rejected(&proxy.get("/metadata.example/"), "at a link-local address");
        assert!(!proxy.log().contains("attempts=2"), "{}", proxy.log());
    }
    let proxy = proxy().args(["--allow-host", REBOUND, "--retry-budget", "0"]).start();
    let response = proxy.get(&format!("/{REBOUND}/"));
    // It is not rejected: nothing listens on port 443, or a server without a certificate for this name.
    assert_eq!(response.status(), 502, "{}", response.text());
}

#[test]
fn allow_host_does_not_restrict_which_urls_are_signed() {
    let proxy = Proxy::sandbox().args(["--allow-host", "a.example"]).start();
    for url in ["https://b.example/x", "http://169.254.169.254/latest/"] {
        let response = proxy.call("POST", "/bewit", url);
        assert_eq!(response.status(), 303, "{}", response.text());
        assert!(response.text().starts_with(&format!("{url}?bewit=")), "{}", response.text());
    }
}
