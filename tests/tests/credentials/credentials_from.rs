//! `--credentials-from`: who may update the credentials.

#![cfg(target_os = "linux")]

use support::users::{DAEMON, NOBODY, can_switch_users, status_for};
use support::{Proxy, ProxyBuilder};

const NEW: &str = r#"{"clientId":"new","accessToken":"canary-token"}"#;
const ROOT: &str = "0";

/// The status of an update by each of these users.
fn updates(proxy: &Proxy, users: &[&str]) -> Vec<u16> {
    let url = format!("{}/credentials", proxy.url());
    let update = |uid: &&str| status_for(uid, &["--request", "PUT", "--data", NEW, &url]);
    users.iter().map(update).collect()
}

fn ping(proxy: &Proxy, uid: &str) -> u16 {
    status_for(uid, &[&format!("{}/api/queue/v1/ping", proxy.url())])
}

fn from(who: &str) -> ProxyBuilder {
    Proxy::sandbox().args(["--credentials-from", who])
}

#[test]
fn only_root() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let proxy = from("root").start();
    assert_eq!(updates(&proxy, &[NOBODY, DAEMON]), [403, 403]);
    // All users may still send requests, and the credentials have not changed.
    assert_eq!(ping(&proxy, NOBODY), 200);
    let before = proxy.get("/api/queue/v1/ping");
    assert_eq!(before.header("x-taskcluster-proxy-perm-clientid"), Some("tester"));
    assert_eq!(updates(&proxy, &[ROOT]), [200]);
    let after = proxy.get("/api/queue/v1/ping");
    assert_eq!(after.header("x-taskcluster-proxy-perm-clientid"), Some("new"));
    let log = proxy.whole_log();
    assert!(log.contains(
        "only root may send PUT /credentials (--credentials-from), found a connection of uid 1"
    ));
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn only_the_proxys_own_user() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let proxy = from("same-user").start();
    assert_eq!(updates(&proxy, &[NOBODY, ROOT]), [403, 200]);
}

#[test]
fn with_any_and_by_default_all_users_may_update() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    for proxy in [from("any").start(), Proxy::sandbox().start()] {
        assert_eq!(updates(&proxy, &[NOBODY, ROOT]), [200, 200]);
    }
}

#[test]
fn the_error_has_the_format_of_the_services() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let proxy = from("root").start();
    let script = format!("curl -s -X PUT -d '{NEW}' {}/credentials", proxy.url());
    let output = support::users::as_user(NOBODY, "bash").args(["-c", &script]).output();
    let response = String::from_utf8(output.expect("bash runs").stdout).expect("it is text");
    assert_eq!(
        response,
        "{\"code\":\"Forbidden\",\"message\":\"only root may send PUT /credentials \
         (--credentials-from), found a connection of uid 65534: the credentials were not \
         replaced\"}"
    );
}
