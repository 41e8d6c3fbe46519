//! `--reject-browsers`: requests of web pages that are opened in a task are rejected.

use support::{Proxy, Response};

const SERVICE: &str = "/api/queue/v1/ping";

fn send(proxy: &Proxy, method: &str, target: &str, headers: &str) -> Response {
    proxy.exchange(format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n"))
}

#[test]
fn web_pages_are_rejected_whatever_their_target() {
    let proxy = Proxy::sandbox().args(["--reject-browsers"]).start();
    for headers in [
        "Host: taskcluster\r\nOrigin: https://evil.example\r\n",
        "Host: taskcluster\r\nOrigin: null\r\n",
        "Host: taskcluster\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: taskcluster\r\nSec-Fetch-Site: same-site\r\n",
        "Host: evil.example\r\nSec-Fetch-Site: same-origin\r\n",
        "Host: evil.example\r\n",
    ] {
        for (method, target) in
            [("GET", SERVICE), ("POST", "/bewit"), ("PUT", "/credentials"), ("OPTIONS", SERVICE)]
        {
            let response = send(&proxy, method, target, headers);
            assert_eq!(response.status(), 403, "{method} {target} {headers}");
            assert_eq!(response.header("access-control-allow-origin"), None);
            let text = response.text();
            assert!(text.starts_with("{\"code\":\"Forbidden\",\"message\":\"--reject-browsers"));
        }
    }
    let response =
        send(&proxy, "GET", "http://evil.example/api/queue/v1/ping", "Host: localhost\r\n");
    assert_eq!(response.status(), 403);
}

#[test]
fn clients_are_served_under_each_name_of_the_proxy() {
    let proxy = Proxy::sandbox().ip_address(Some("127.0.0.1")).args(["--reject-browsers"]).start();
    for host in ["taskcluster", "taskcluster:80", "localhost", "127.0.0.1", "[::1]"] {
        let response = send(&proxy, "GET", SERVICE, &format!("Host: {host}\r\n"));
        assert_eq!(response.status(), 200, "{host}");
    }
    // Requests of a page of the proxy itself, and of a user who opens a URL.
    for headers in
        ["Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n"]
    {
        let response = send(&proxy, "GET", SERVICE, &format!("Host: localhost\r\n{headers}"));
        assert_eq!(response.status(), 200, "{headers}");
    }
    assert_eq!(
        send(&proxy, "GET", "http://taskcluster/api/queue/v1/ping", "Host: x\r\n").status(),
        403
    );
    assert_eq!(proxy.get("http://taskcluster/api/queue/v1/ping").status(), 200);
}

#[test]
fn without_the_option_web_pages_are_served() {
    let proxy = Proxy::sandbox().start();
    let headers = "Host: evil.example\r\nOrigin: null\r\nSec-Fetch-Site: cross-site\r\n";
    assert_eq!(send(&proxy, "GET", SERVICE, headers).status(), 200);
}
