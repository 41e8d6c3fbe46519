//! A soak test of any length: mixed load, credentials that change every second, an upstream that fails
//! in many ways. Every response is checked.
//!
//! `SOAK_SECONDS` is its length (default 10). `SOAK_SEED` repeats the requests of an earlier run; their
//! timing may differ.

#![cfg(target_os = "linux")]

mod behaviour;
mod client;
mod deployment;
mod identity;
mod plan;

use client::{Client, OutcomeCounts};
use deployment::Deployment;
use identity::Identity;
use std::io::{Write as _, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use support::{Proxy, Random, number, seed};

/// The number of concurrent clients.
const CLIENTS: usize = 24;
/// How much more memory the proxy may use at the end than after the warm-up, both times while idle, as
/// its allocator does not return all memory at once.
const MARGIN: u64 = 8 * 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

struct Soak {
    proxy: Proxy,
    deployment: Arc<Deployment>,
    counts: OutcomeCounts,
    random: Random,
    start: Instant,
}

#[test]
fn every_response_is_correct_and_nothing_is_left_behind() {
    let length = SECOND * number("SOAK_SECONDS").map_or(10, |seconds| seconds as u32);
    let seed = seed("SOAK_SEED");
    report(&format!("SOAK_SECONDS={} SOAK_SEED={seed}", length.as_secs()));
    let mut soak = Soak::start(seed);
    let descriptors = soak.proxy.descriptors();
    let warm_up = (length / 3).min(60 * SECOND);
    soak.run(warm_up);
    soak.proxy.wait_for_descriptors(descriptors);
    let memory = soak.proxy.memory();
    soak.run(length - warm_up);
    soak.proxy.wait_for_descriptors(descriptors);
    soak.progress();
    assert!(
        soak.proxy.memory() <= memory + MARGIN,
        "{} KiB after the warm-up, {} KiB at the end",
        memory / 1024,
        soak.proxy.memory() / 1024
    );
}

impl Soak {
    fn start(seed: u64) -> Self {
        let deployment = Deployment::start(Identity::both());
        let [first, _] = deployment.identities();
        let proxy = Proxy::builder()
            .env("TASKCLUSTER_ROOT_URL", deployment.root_url())
            .env("TASKCLUSTER_CLIENT_ID", first.client_id)
            .env("TASKCLUSTER_ACCESS_TOKEN", first.access_token)
            // Requests that are being retried keep their credentials.
            .args(["--credentials-drain", "0.1", "--upstream-idle-timeout", "0.5"])
            // Enough for the bodies of all requests.
            .args(["--replay-total", "65536"])
            .start();
        let counts = OutcomeCounts::default();
        Self { proxy, deployment, counts, random: Random::new(seed), start: Instant::now() }
    }

    fn run(&mut self, length: Duration) {
        let until = Instant::now() + length;
        let seeds = [(); CLIENTS].map(|()| self.random.next());
        thread::scope(|scope| {
            for seed in seeds {
                let client = Client {
                    proxy: self.proxy.address(),
                    deployment: &self.deployment,
                    random: Random::new(seed),
                    counts: &self.counts,
                };
                scope.spawn(move || client.run(until));
            }
            self.change_credentials(until);
        });
        assert!(!self.deployment.has_failed(), "the upstream has received an invalid request");
    }

    /// Updates the credentials every second.
    fn change_credentials(&self, until: Instant) {
        let _failure_guard = self.deployment.failure_guard();
        let turns = self.deployment.identities().iter().rev().cycle();
        for (second, identity) in (1u32..).zip(turns) {
            thread::sleep(SECOND);
            if Instant::now() >= until || self.deployment.has_failed() {
                return;
            }
            let response = self.proxy.call("PUT", "/credentials", identity.update());
            assert_eq!(response.status(), 200, "{}", response.text());
            if second.is_multiple_of(10) {
                self.progress();
            }
        }
    }

    fn progress(&self) {
        let OutcomeCounts { complete, truncated, refused, failed, aborted } = &self.counts;
        let [complete, truncated, refused, failed, aborted] =
            [complete, truncated, refused, failed, aborted]
                .map(|count| count.load(Ordering::Relaxed));
        report(&format!(
            "{:>4} s: {} requests in {} attempts; as planned {complete} complete, \
             {truncated} truncated, {refused} refused, {failed} failed, {aborted} aborted by their clients; {} KiB, at most {}; \
             {} descriptors",
            self.start.elapsed().as_secs(),
            complete + truncated + refused + failed + aborted,
            self.deployment.attempts(),
            self.proxy.memory() / 1024,
            self.proxy.peak_memory() / 1024,
            self.proxy.descriptors(),
        ));
    }
}

/// Prints at once. The output of `println!` would appear only when the test has ended.
fn report(text: &str) {
    // stderr may be closed.
    let _ = writeln!(stderr(), "soak: {text}");
}
