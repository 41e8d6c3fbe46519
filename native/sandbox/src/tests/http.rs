//! Tests of HTTP: unknown methods and paths, invalid and large bodies, compression, connections.

use super::*;
use flate2::read::{GzDecoder, ZlibDecoder};
use std::io::Read as _;

#[tokio::test]
async fn every_service_responds_to_ping() {
    let test = SandboxTest::start().await.unsigned();
    for service in ["auth", "queue", "secrets", "index", "object"] {
        let pong = test.get(&format!("/api/{service}/v1/ping")).await.ok();
        assert_eq!(pong["alive"], true);
        assert!(pong["uptime"].is_u64());
    }
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let test = SandboxTest::start().await;
    let response = test.get("/api/hooks/v1/hooks?bewit=secret").await;
    response.refused(404, "ResourceNotFound", "GET /api/hooks/v1/hooks");
    assert!(!response.text().contains("secret"));
}

#[tokio::test]
async fn a_token_of_the_storage_is_never_repeated() {
    let test = SandboxTest::start().await;
    for (method, path) in [
        ("GET", "/storage/uploads/password"),
        ("DELETE", "/storage/objects/password"),
        ("GET", "/storage/objects/password"),
        ("PUT", "/storage/uploads/password"),
        ("GET", "/storage/objects/password%FF"),
        ("GET", "/storage/objects/password/x?y=password"),
        ("GET", "/%73torage/objects/password"),
        ("GET", "/%73%74%6f%72%61%67%65/objects/password"),
        ("GET", "/storage%2Fobjects%2Fpassword"),
        ("GET", "/%2573torage/objects/password"),
        ("GET", "//storage/objects/password"),
        ("GET", "/api/../storage/objects/password"),
        ("GET", "/api/%2e%2e/%73torage/objects/password"),
    ] {
        let response = test.call_raw(method, path, "").await;
        assert!(matches!(response.status, 400 | 404), "{method} {path}: {}", response.status);
        assert!(!response.text().contains("password"), "{method} {path}: {}", response.text());
        assert!(!format!("{:?}", response.headers).contains("password"), "{method} {path}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_told_the_known_ones() {
    let test = SandboxTest::start().await;
    for (path, known) in [
        ("/api/secrets/v1/secret/a", "GET,HEAD,PUT,DELETE"),
        ("/api/auth/v1/test-authenticate", "POST"),
        ("/storage/uploads/a", "PUT"),
    ] {
        let response = test.call_raw("PATCH", path, "").await;
        response.refused(404, "ResourceNotFound", "the sandbox has no PATCH");
        assert_eq!(response.header("allow"), known, "{path}");
    }
    let response = test.get("/api/secrets/v1/nothing").await;
    response.refused(404, "ResourceNotFound", "GET /api/secrets/v1/nothing");
    assert!(!response.headers.contains_key("allow"));
}

#[tokio::test]
async fn a_payload_must_be_a_json_object() {
    let test = SandboxTest::start().await;
    let path = "/api/auth/v1/test-authenticate";
    for (body, reason) in [
        ("{", "found a syntax error at line 1 column 1"),
        ("[]", "found an array"),
        ("\u{ff}", "syntax error"),
    ] {
        test.call_raw("POST", path, body).await.refused(400, "MalformedPayload", reason);
    }
    test.call_raw("POST", path, "").await.refused(400, "InputError", "`clientScopes`");
    for (content_type, found) in [("text/plain; x=y", "text/plain"), ("", "none")] {
        let request = test.request("POST", path).header("content-type", content_type);
        let response = test.send(request.body(Full::from("{}")).unwrap()).await;
        response.refused(400, "MalformedPayload", found);
    }
    let request =
        test.request("POST", path).header("content-type", "Application/JSON; charset=utf-8");
    let body = r#"{"clientScopes":[],"requiredScopes":[]}"#;
    test.send(request.body(Full::from(body)).unwrap()).await.ok();
}

#[tokio::test]
async fn a_large_body_is_rejected_with_a_response() {
    let test = SandboxTest::start().await;
    let path = "/api/secrets/v1/secret/a";
    let fits = " ".repeat(10 * 1024 * 1024);
    test.call_raw("PUT", path, fits.clone()).await.refused(400, "MalformedPayload", "line 1");
    let response = test.call_raw("PUT", path, fits + " ").await;
    response.refused(413, "InputTooLarge", "at most 10485760 bytes");
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_gets_the_response() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let test = SandboxTest::start().await.restricted_to(&["other"]);
    let path = "/api/object/v1/upload/sink";
    // Much more than the buffers of a connection can hold.
    let body = vec![7; 20_000_000];
    let mut request = format!("PUT {path} HTTP/1.1\r\n").into_bytes();
    for (name, value) in test.request("PUT", path).headers_ref().unwrap() {
        request.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let framing = format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    request.extend(framing.into_bytes());

    let mut stream = TcpStream::connect(test.sandbox.root_url().authority()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
}

#[tokio::test]
async fn a_request_in_progress_finishes() {
    let test = SandboxTest::start().await;
    let address = test.sandbox.root_url().authority().to_string();
    // Much more than the buffers of a connection can hold.
    let length = 50_000_000;
    let path = format!("/api/object/v1/download/bytes/{length}");
    let request = test.request("GET", &path).body(Full::<Bytes>::default()).unwrap();
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    drop(test);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), length);
    // The sandbox closes the connection, and has closed the port.
    connection.await.unwrap().unwrap();
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn connections_are_closed_with_the_sandbox() {
    let test = SandboxTest::start().await;
    let address = test.sandbox.root_url().authority().to_string();
    let stream = TcpStream::connect(&address).await.unwrap();
    drop(test);
    let mut byte = [0];
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            end => break assert!(matches!(end, Ok(0) | Err(_))),
        }
    }
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn the_introduction_has_three_commands() {
    let test = SandboxTest::start().await;
    let introduction = test.sandbox.introduction("http://localhost:8080");
    let root_url = test.sandbox.root_url();
    let lines: Vec<&str> = introduction.lines().collect();
    let artifact =
        "/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/SampleArtifacts%2F_%2FX.txt";
    assert!(lines[0].contains(&root_url.to_string()));
    assert_eq!(
        lines[1..],
        [
            format!("curl http://localhost:8080{artifact}"),
            format!("curl --data {root_url}{artifact} http://localhost:8080/bewit"),
            "curl http://localhost:8080/api/auth/v1/scopes/current".to_owned(),
        ]
    );
    // What the proxy makes of them works.
    assert_eq!(test.get(artifact).await.text(), "test artifact\n");
    let bewit = test.bewit(artifact, now().plus(Duration::from_secs(3600)));
    assert_eq!(test.unsigned().get(&bewit).await.text(), "test artifact\n");
}

#[tokio::test]
async fn json_from_1_kib_on_is_compressed_if_the_client_accepts_it() {
    let scopes: Vec<String> = (0..100).map(|number| format!("some:scope:{number}")).collect();
    let test = SandboxTest::start().await.restricted_to(&["other"]);
    for (length, accepted, coding) in [
        (100, "gzip, deflate, br", Some("gzip")),
        (100, "br;q=1.0, Deflate;q=0.5, *;q=0.1", Some("deflate")),
        (100, "gzip;q=0, br", None),
        (100, "", None),
        (1, "gzip", None),
    ] {
        let payload = json!({"clientScopes": ["other"], "requiredScopes": scopes[..length]});
        let request = test.request("POST", "/api/auth/v1/test-authenticate");
        let request = request.header("content-type", "application/json");
        let request = request.header("accept-encoding", accepted);
        let response =
            test.send(request.body(Full::new(payload.to_string().into())).unwrap()).await;
        let vary = response.headers.get("vary").map(|value| value.to_str().unwrap());
        assert_eq!((response.status, vary), (403, (length > 1).then_some("accept-encoding")));
        let found = response.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(found, coding, "{length} {accepted}");
        let mut content = Vec::new();
        match coding {
            Some("gzip") => GzDecoder::new(&response.body[..]).read_to_end(&mut content).unwrap(),
            Some(_) => ZlibDecoder::new(&response.body[..]).read_to_end(&mut content).unwrap(),
            None => (&response.body[..]).read_to_end(&mut content).unwrap(),
        };
        HandlerResult { body: content.into(), ..response }.refused(
            403,
            "InsufficientScopes",
            "some:scope:0",
        );
    }
}
