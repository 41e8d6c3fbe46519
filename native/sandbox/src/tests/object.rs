//! Tests of the object service.

use super::*;

#[tokio::test]
async fn a_download_has_the_pattern() {
    let test = SandboxTest::start().await;
    for length in [0, 1, 16_384, 100_003] {
        for query in ["", "?chunked", "?a&chunked=1"] {
            let response =
                test.get(&format!("/api/object/v1/download/bytes/{length}{query}")).await;
            assert_eq!(response.body.len(), length);
            let mut expected = (0..251).cycle();
            assert!(response.body.iter().all(|byte| Some(*byte) == expected.next()));
            let announced =
                response.headers.get("content-length").map(|_| response.header("content-length"));
            let length = length.to_string();
            assert_eq!(announced, query.is_empty().then_some(length.as_str()), "{length}{query}");
        }
    }
}

#[tokio::test]
async fn bytes_are_generated_only_as_they_are_read() {
    let test = SandboxTest::start().await;
    let path = format!("/api/object/v1/download/bytes/{}", 1_u64 << 40);
    let head = test.request("HEAD", &path).body(Full::default()).unwrap();
    assert_eq!(test.send(head).await.header("content-length"), "1099511627776");
    let address = test.sandbox.root_url().authority().to_string();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = test.request("GET", &path).body(Full::<Bytes>::default()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    for _ in 0..100 {
        assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
    }
    connection.abort();
    // The sandbox still responds to other requests.
    assert_eq!(test.get("/api/object/v1/ping").await.status, 200);
}

#[tokio::test]
async fn the_sink_counts_bytes() {
    let test = SandboxTest::start().await;
    for method in ["PUT", "POST"] {
        for length in [0, 1, 20_000_000] {
            let response =
                test.call_raw(method, "/api/object/v1/upload/sink", vec![7; length]).await;
            assert_eq!(response.ok(), json!({"bytes": length}));
        }
    }
}

#[tokio::test]
async fn both_require_scopes_and_a_valid_length() {
    let test = SandboxTest::start().await;
    for length in ["x", "-1", "1099511627777"] {
        let response = test.get(&format!("/api/object/v1/download/bytes/{length}")).await;
        response.refused(400, "InvalidRequestArguments", "at most 1099511627776");
    }
    let test = test.restricted_to(&["object:*:bytes"]);
    let response = test.get("/api/object/v1/download/bytes/1").await;
    response.refused(403, "InsufficientScopes", "```\nobject:download:bytes");
    // The request is rejected before its body is read, and the client gets the response nevertheless.
    let response = test.call_raw("PUT", "/api/object/v1/upload/sink", vec![7; 20_000_000]).await;
    response.refused(403, "InsufficientScopes", "```\nobject:upload:sink");
}
