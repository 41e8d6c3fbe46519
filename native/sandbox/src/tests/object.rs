//! Tests of the object service.

use super::*;

#[tokio::test]
async fn bytes_come_in_a_pattern() {
    let story = Story::begin().await;
    for length in [0, 1, 16_384, 100_003] {
        for query in ["", "?chunked", "?a&chunked=1"] {
            let answer = story.get(&format!("/api/object/v1/download/bytes/{length}{query}")).await;
            assert_eq!(answer.body.len(), length);
            let mut expected = (0..251).cycle();
            assert!(answer.body.iter().all(|byte| Some(*byte) == expected.next()));
            let announced =
                answer.headers.get("content-length").map(|_| answer.header("content-length"));
            let length = length.to_string();
            assert_eq!(announced, query.is_empty().then_some(length.as_str()), "{length}{query}");
        }
    }
}

#[tokio::test]
async fn what_is_not_read_is_not_made() {
    let story = Story::begin().await;
    let path = format!("/api/object/v1/download/bytes/{}", 1_u64 << 40);
    let head = story.request("HEAD", &path).body(Full::default()).unwrap();
    assert_eq!(story.send(head).await.header("content-length"), "1099511627776");
    let address = story.sandbox.root_url().authority().to_string();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = story.request("GET", &path).body(Full::<Bytes>::default()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    for _ in 0..100 {
        assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
    }
    connection.abort();
    // The sandbox still has time for others.
    assert_eq!(story.get("/api/object/v1/ping").await.status, 200);
}

#[tokio::test]
async fn the_sink_counts() {
    let story = Story::begin().await;
    for method in ["PUT", "POST"] {
        for length in [0, 1, 20_000_000] {
            let answer =
                story.call_raw(method, "/api/object/v1/upload/sink", vec![7; length]).await;
            assert_eq!(answer.ok(), json!({"bytes": length}));
        }
    }
}

#[tokio::test]
async fn both_need_scopes_and_a_length_that_is_one() {
    let story = Story::begin().await;
    for length in ["x", "-1", "1099511627777"] {
        let answer = story.get(&format!("/api/object/v1/download/bytes/{length}")).await;
        answer.refused(400, "InvalidRequestArguments", "at most 1099511627776");
    }
    let story = story.restricted_to(&["object:*:bytes"]);
    let answer = story.get("/api/object/v1/download/bytes/1").await;
    answer.refused(403, "InsufficientScopes", "```\nobject:download:bytes");
    // Refused before the body is read, and answered all the same.
    let answer = story.call_raw("PUT", "/api/object/v1/upload/sink", vec![7; 20_000_000]).await;
    answer.refused(403, "InsufficientScopes", "```\nobject:upload:sink");
}
