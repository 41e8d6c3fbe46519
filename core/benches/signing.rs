//! What it costs to sign a request, beside the one thing that cannot be saved: the HMAC of the same
//! text with a prepared key. Target: at most 1.7 times that.
//!
//! `cargo bench -p taskcluster-proxy-core`
#![expect(clippy::expect_used, reason = "constants that are none have to stop the benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Request;
use std::hint::black_box;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{Credentials, Signer};
use taskcluster_proxy_core::hawk::{Artifacts, Key, Kind, UrlParts, parse_url};

const URL: &str =
    "https://tc.example.com/api/queue/v1/task/KTBKfEgxR5GdfIIREQIvFQ/runs/0/artifacts/public%2Fx";
const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const NONCE: &str = "0123456789abcdef";

fn signing(criterion: &mut Criterion) {
    let credentials = Credentials::permanent("tester", "no-secret").expect("they are credentials");
    let signer = Signer::new(&credentials).expect("they can sign");
    let key = Key::new("no-secret");
    let url = parse_url(URL).expect("it is a URL");
    let parts = UrlParts::try_from(&url).expect("it can be signed");
    let text = Artifacts {
        kind: Kind::Header,
        ts: NOW.secs(),
        nonce: NONCE,
        method: "GET",
        url: parts,
        hash: None,
        ext: None,
    }
    .normalized_string();

    let mut group = criterion.benchmark_group("signing");
    group.bench_function("hmac of the same text, key prepared", |bencher| {
        bencher.iter(|| key.mac_of(black_box(text.as_bytes())));
    });
    group.bench_function("request", |bencher| {
        let request = || {
            // As it comes to the proxy: with some headers, and room for one more.
            let mut request = Request::get(URL).body(()).expect("it is a request");
            for name in ["host", "user-agent", "accept", "content-type"] {
                request.headers_mut().insert(name, http::HeaderValue::from_static("value"));
            }
            request
        };
        bencher.iter_batched(
            request,
            |request| signer.sign(black_box(request), NOW, NONCE),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("header of a request, as the proxy makes it", |bencher| {
        let method = http::Method::GET;
        bencher.iter(|| signer.authorization(black_box(&method), &parts, NOW, NONCE));
    });
    group.bench_function("bewit", |bencher| {
        bencher.iter(|| signer.bewit(black_box(&url), NOW));
    });
    group.finish();
}

criterion_group!(benches, signing);
criterion_main!(benches);
