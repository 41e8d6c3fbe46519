//! The storm test: all faults of upstreams at once, with several clients. There are host names without an
//! address, refused connections, invalid certificates, truncated responses (without TLS, over TLS, over
//! HTTP/2), bursts of 5xx responses, and clients that disconnect while an upstream stalls. Meanwhile the
//! credentials change and the services' clock is set.
//!
//! `STORM_SEED` repeats the requests of an earlier run; their timing may differ.

#![cfg(target_os = "linux")]

mod client;
mod destinations;
mod plan;
mod services;

use client::Client;
use destinations::Destinations;
use services::{AttemptOutcome, Services, credentials, verify};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::{Proxy, Random, Request, Upstream, seed, skip};

/// The number of concurrent clients.
const CLIENTS: usize = 16;
/// How many requests each of them sends, for the warm-up and then while memory is measured.
const REQUESTS: [usize; 2] = [20, 40];
/// How much more memory the proxy may use at the end than after the warm-up, both times while idle, as
/// its allocator does not return all memory at once.
const MARGIN: u64 = 8 * 1024 * 1024;
/// The seconds by which the services' clock is ahead of the proxy's, one after the other.
const AHEAD: [i64; 5] = [3600, 0, -3600, 40 * 86_400, -86_400];
const STEP: Duration = Duration::from_millis(1500);
const BURST: Duration = Duration::from_millis(100);

#[test]
fn all_faults_at_once() {
    let seed = seed("STORM_SEED");
    let services = Services::new();
    let shared = Arc::clone(&services);
    let upstream = Upstream::start(move |request: &Request| shared.response(request));
    let destinations = match Destinations::to(&upstream) {
        Ok(destinations) => destinations,
        Err(error) => return skip(&format!("cannot listen on port 443: {error}")),
    };
    let proxy = Proxy::builder()
        .env("TASKCLUSTER_ROOT_URL", upstream.root_url())
        .env("TASKCLUSTER_CLIENT_ID", "client-0")
        .env("TASKCLUSTER_ACCESS_TOKEN", "token-0")
        .env("SSL_CERT_FILE", destinations.roots())
        .args(destinations.hosts().iter().flat_map(|host| ["--allow-host", host]))
        .args(["--retry-budget", "0.6", "--connect-timeout", "5"])
        .args(["--credentials-drain", "0.05", "--upstream-idle-timeout", "0.5"])
        .start();
    let start = Instant::now();
    let descriptors = proxy.descriptors();
    let random = &mut Random::new(seed);
    let counts = Mutex::new(BTreeMap::new());
    let mut memory = Vec::new();
    for requests in REQUESTS {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|first| {
                    let client = Client {
                        proxy: proxy.address(),
                        services: &services,
                        destinations: &destinations,
                        random: Random::new(random.next()),
                        counts: &counts,
                    };
                    scope.spawn(move || client.run(first..first + requests))
                })
                .collect();
            scope.spawn(|| vary_conditions(&services, &over));
            scope.spawn(|| change_credentials(&proxy, &over));
            let ended: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            over.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok), "STORM_SEED={seed}: a client failed");
        });
        proxy.wait_for_descriptors(descriptors);
        memory.push(proxy.memory());
    }
    let counts = counts.into_inner().unwrap();
    let attempts = services.all_attempts();
    let stale = attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Stale).count();
    println!(
        "storm: STORM_SEED={seed}: {} attempts, {stale} of them with a wrong clock; {counts:?}; \
         {memory:?} bytes; {:.1?}",
        attempts.len(),
        start.elapsed()
    );
    for what in EXPECTED {
        assert!(counts.contains_key(what), "STORM_SEED={seed}: no request had the outcome {what}");
    }
    // Most requests succeed after retries; few of them use up the retry budget.
    let given_up = counts.get("given up").copied().unwrap_or_default();
    assert!(given_up * 10 < counts["complete"], "STORM_SEED={seed}: {given_up} given up");
    assert!(stale > 0, "STORM_SEED={seed}: no request noticed that the clock was set");
    assert!(memory[1] <= memory[0] + MARGIN, "STORM_SEED={seed}: {memory:?}");
    check_signatures(&upstream.requests());
    proxy.signal("TERM");
    assert!(proxy.wait().status.success());
}

/// Outcomes that occur with any seed.
const EXPECTED: [&str; 9] = [
    "complete",
    "truncated",
    "connection lost",
    "aborted by their clients",
    "refused",
    "no such name",
    "expired certificate",
    "certificate for another name",
    "untrusted certificate",
];

/// Causes bursts of 503 and sets the services' clock.
fn vary_conditions(services: &Services, over: &AtomicBool) {
    for ahead in AHEAD.iter().cycle() {
        services.set_ahead(*ahead);
        services.set_burst(true);
        thread::sleep(BURST);
        services.set_burst(false);
        thread::sleep(STEP - BURST);
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn change_credentials(proxy: &Proxy, over: &AtomicBool) {
    for number in 1.. {
        let response = proxy.call("PUT", "/credentials", credentials(number));
        assert_eq!(response.status(), 200, "{}", response.text());
        thread::sleep(BURST / 2);
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Fails unless each attempt is signed with one set of credentials and its own nonce, and requests to
/// hosts, whose clocks are unknown, with the time of this machine.
fn check_signatures(requests: &[Request]) {
    let mut nonces = HashSet::new();
    for request in requests {
        let claim = verify(request);
        assert!(nonces.insert(claim.nonce), "{request:?}");
        if !request.target().starts_with("/api/") {
            assert!(claim.ts.abs_diff(services::now()) < 300, "{request:?}");
        }
        let plan = plan::Plan::of(request.target().rsplit('/').next().unwrap().parse().unwrap());
        if request.complete && plan.put {
            assert_eq!(request.body, plan.content().as_bytes());
        }
    }
}
