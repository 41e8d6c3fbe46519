//! Deployments that cannot be reached, or do not respond.

use super::{auth, check_with};
use support::{ClosedPort, Request, ScriptedResponse, Upstream};

/// Each request times out after 10 s; the results of earlier checks are printed before.
#[test]
fn an_upstream_that_accepts_and_never_responds_is_reported() {
    let upstream = Upstream::start([ScriptedResponse::nothing().then_stall()]);
    let report = check_with(&upstream.root_url(), |it| it.args(["--connect-timeout", "1"]), 1);
    report.assert_line("ok", "port", "free");
    report.assert_line(
        "fail",
        "root url",
        "no response to GET /api/auth/v1/ping within 10 s: check the deployment, and any \
         gateway or firewall between this machine and it",
    );
    assert!(!format!("{report:?}").contains("correct"), "{report:?}");
    report.assert_line("?", "accepted", "not known");
}

/// The line names the request that has no response.
#[test]
fn a_queue_that_does_not_return_the_task_is_reported() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/queue/v1/task/a%2Fb" => ScriptedResponse::nothing().then_stall(),
        _ => auth(request, 0),
    });
    let report = check_with(&upstream.root_url(), |it| it.args(["--task-id", "a/b"]), 1);
    let expected = "no response to GET /api/queue/v1/task/a%2Fb within 10 s: check the deployment";
    report.assert_line("fail", "scopes", expected);
}

/// Each line says once what to do.
#[test]
fn advice_fits_the_error() {
    let port = ClosedPort::take();
    let (refusing, proxy) = (port.root_url(), format!("http://{}", port.address()));
    let upstream = Upstream::start([ScriptedResponse::status(200)]);
    let https = format!("https://{}", upstream.address());
    let tried = |route: &str| {
        format!(": correct the root URL, or check the network; the connection was tried {route}")
    };
    for (root_url, (variable, value), expected) in [
        (&*refusing, ("A", ""), tried("directly, no variable names a proxy")),
        (
            "http://tc.example.test",
            ("HTTP_PROXY", &*proxy),
            tried(&format!("through the proxy {proxy} of HTTP_PROXY")),
        ),
        ("http://tc.invalid", ("A", ""), ": check the host name and the DNS server".to_owned()),
        (
            &https,
            ("SSL_CERT_FILE", "/nowhere"),
            ": name PEM files with certificates, or unset it".to_owned(),
        ),
    ] {
        let report = check_with(root_url, |it| it.env(variable, value), 1);
        report.assert_line("fail", "root url", &expected);
        let line = report.lines.iter().find(|line| line.contains("  root url ")).unwrap();
        assert!(line.ends_with(&expected), "{line}");
    }
}

/// The line names the request that has no response.
#[test]
fn an_auth_service_that_does_not_return_the_scopes_is_reported() {
    let upstream = Upstream::start(|request: &Request| match request.target() {
        "/api/auth/v1/ping" => auth(request, 0),
        _ => ScriptedResponse::nothing().then_stall(),
    });
    let report = check_with(&upstream.root_url(), |it| it, 1);
    report.assert_line("ok", "root url", "responded with 200");
    let expected = "no response to GET /api/auth/v1/scopes/current within 10 s";
    report.assert_line("fail", "accepted", expected);
}

#[test]
fn a_root_url_where_nothing_listens_is_reported() {
    let port = ClosedPort::take();
    let report = check_with(&port.root_url(), |builder| builder, 1);
    report.assert_line("fail", "root url", &format!("{}: cannot connect: ", port.root_url()));
    for what in ["tls", "clock", "accepted"] {
        report.assert_line("?", what, "not known: there is no response from the root URL");
    }
    report.assert_line("ok", "credentials", "client tester");
}
