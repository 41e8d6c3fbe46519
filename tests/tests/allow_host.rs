//! `--allow-host`, and where requests in hostname form do not go without it.

#![cfg(target_os = "linux")]

use std::fs;
use stories::users::can_be_others;
use stories::{Answer, Proxy, ProxyBuilder, Response, Upstream};

/// A name that leads to this machine, as anybody's DNS can have it.
const REBOUND: &str = "rebound.example";

fn assert_refused(response: &Response, why: &str) {
    assert_eq!(
        (response.status(), response.header("content-type")),
        (403, Some("application/json"))
    );
    let text = response.text();
    assert!(text.starts_with("{\"code\":\"Forbidden\"") && text.contains(why), "{text}");
}

#[test]
fn special_places_are_refused_by_their_addresses() {
    let proxy = Proxy::sandbox().start();
    for (host, why) in [
        ("127.0.0.2", "\\\"127.0.0.2\\\" is at a loopback address"),
        ("0.0.0.0", "at a loopback address"),
        ("169.254.169.254", "at a link-local address"),
        ("168.63.129.16", "at an address of cloud metadata"),
        ("127.1", "a number, not a name"),
        ("a.localhost", "at a loopback address"),
    ] {
        assert_refused(&proxy.get(&format!("/{host}/latest/meta-data/")), why);
    }
    // The deployment is at such an address, too, and goes on.
    assert_eq!(proxy.get("/queue/v1/ping").status(), 200);
}

#[test]
fn with_patterns_requests_go_there_alone() {
    let upstream = Upstream::start([Answer::status(200)]);
    let proxy = Proxy::in_front_of(upstream.root_url())
        .args(["--allow-host", "a.invalid", "--allow-host", "*.b.invalid", "--retry-budget", "0"])
        .start();
    for host in ["c.invalid", "b.invalid", "x.a.invalid", "127.0.0.1"] {
        let response = proxy.get(&format!("/{host}/"));
        assert_refused(&response, "requests may go only to the hosts of --allow-host");
    }
    for host in ["a.invalid", "A.Invalid", "x.b.invalid"] {
        assert_eq!(proxy.get(&format!("/{host}/")).status(), 502, "{host}: there is no such host");
    }
    assert_eq!(proxy.get("/queue/v1/ping").status(), 200);
}

/// What the resolver says decides, and at once: to try again would not make it better.
#[test]
fn a_name_that_leads_to_this_machine_has_to_be_named() {
    if !can_be_others(&[["unshare", "--version"]]) {
        return;
    }
    let hosts = std::env::temp_dir().join(format!("tcproxy-hosts-{}", std::process::id()));
    fs::write(&hosts, format!("127.0.0.1 {REBOUND}\n169.254.169.254 metadata.example\n"))
        .expect("temporary files can be written");
    // With a table of hosts of its own.
    let script = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
    let proxy = || -> ProxyBuilder {
        Proxy::sandbox().under(["unshare", "--mount", "bash", "-c", &script])
    };
    for patterns in [&[][..], &["--allow-host", "*"], &["--allow-host", "*.example"]] {
        let proxy = proxy().args(patterns).start();
        let response = proxy.get(&format!("/{REBOUND}/"));
        assert_refused(&response, "\\\"rebound.example\\\" is at a loopback address");
        assert_refused(&proxy.get("/metadata.example/"), "at a link-local address");
        assert!(!proxy.log().contains("attempts=2"), "{}", proxy.log());
    }
    let proxy = proxy().args(["--allow-host", REBOUND, "--retry-budget", "0"]).start();
    let response = proxy.get(&format!("/{REBOUND}/"));
    // Port 443 is not in use, or by somebody whose certificate is not for this name.
    assert_eq!(response.status(), 502, "{}", response.text());
    fs::remove_file(hosts).expect("it is still there");
}

#[test]
fn it_does_not_restrict_which_urls_are_signed() {
    let proxy = Proxy::sandbox().args(["--allow-host", "a.example"]).start();
    for url in ["https://b.example/x", "http://169.254.169.254/latest/"] {
        let response = proxy.call("POST", "/bewit", url);
        assert_eq!(response.status(), 303, "{}", response.text());
        assert!(response.text().starts_with(&format!("{url}?bewit=")), "{}", response.text());
    }
}
