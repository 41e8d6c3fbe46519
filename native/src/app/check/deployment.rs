//! Checks the deployment: whether it responds, its certificate, its clock.

use super::{Report, with_timeout};
use crate::os::clock;
use crate::outbound::call::{self, CallError};
use crate::outbound::{Origin, Outbound, UpstreamError};
use http::StatusCode;
use std::fmt::Display;
use std::time::{Duration, Instant};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::hawk::MAX_SKEW;
use taskcluster_proxy_core::proxy::RootUrl;

/// A deployment that has responded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    /// The time of the deployment's clock, if the response has a `Date`; else of this machine's.
    pub(super) now: Timestamp,
}

/// Sends a ping to the deployment, and reports the result. Returns `None` if there is no response.
pub(super) async fn check(
    outbound: &Outbound,
    root_url: &RootUrl,
    origin: &Origin,
    report: &mut Report,
) -> Option<Reached> {
    let (asked, start) = (clock::now(), Instant::now());
    let response = with_timeout(PING, call::get(outbound, root_url, PING, None, MAX_PING)).await;
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            explain(root_url, &error, outbound.route(origin), report);
            return None;
        }
    };
    let received = clock::now();
    let route = outbound.route(origin);
    let (status, took) = (response.status, start.elapsed());
    let text = format!("{root_url}{PING} responded with {status} in {took:.1?}, reached {route}");
    match response.status {
        StatusCode::OK => report.ok("root url", text),
        _ => report.warn("root url", format!("{text}, expected 200: is it a deployment's?")),
    }
    match root_url.is_secure() {
        true => report.ok("tls", "the certificate is valid and trusted"),
        false => report.ok("tls", "not used: the root URL is http"),
    }
    Some(Reached { now: check_clock(clock::date_of(&response.headers), [asked, received], report) })
}

fn explain(root_url: &RootUrl, error: &CallError, route: impl Display, report: &mut Report) {
    match error {
        CallError::Send(UpstreamError::Connect(error)) if error.is_untrusted() => {
            report.fail(
                "root url",
                format!("{root_url} presents a certificate that is not accepted"),
            );
            report.fail("tls", error);
        }
        error => {
            let text = match says_what_to_do(error) {
                true => format!("{root_url}: {error}"),
                false => format!(
                    "{root_url}: {error}: correct the root URL, or check the network; the connection \
                     was tried {route}"
                ),
            };
            report.fail("root url", text);
            report.unknown("tls", NO_RESPONSE);
        }
    }
    report.unknown("clock", NO_RESPONSE);
}

/// Whether the error itself says what to correct.
fn says_what_to_do(error: &CallError) -> bool {
    match error {
        CallError::NoResponse(..) => true,
        CallError::Send(UpstreamError::Connect(error)) => error.says_what_to_do(),
        _ => false,
    }
}

/// Compares the `Date` of a response, in whole seconds, with the times before the request and after the
/// response. Returns the time of the deployment's clock.
fn check_clock(
    date: Option<Timestamp>,
    [asked, received]: [Timestamp; 2],
    report: &mut Report,
) -> Timestamp {
    let Some(date) = date else {
        report.unknown("clock", "the response has no Date to compare with, or is from a cache");
        return received;
    };
    let latest = date.plus(Duration::from_millis(999));
    let (off, direction) = match () {
        () if latest < asked => (latest.distance(asked), "ahead of"),
        () if date > received => (date.distance(received), "behind"),
        () => (Duration::ZERO, "with"),
    };
    let seconds = off.as_secs();
    let text = format!("{seconds} s {direction} the deployment's");
    let advice = format!(
        "set it, or synchronize it (NTP): services refuse signatures whose time differs by more than {} \
         minutes, and certificates become valid and expire at other times",
        MAX_SKEW.as_secs() / 60
    );
    match off {
        Duration::ZERO => report.ok("clock", "the same as the deployment's, to the second"),
        off if off <= TOLERABLE => report.ok("clock", text),
        off if off <= BAD => report.warn("clock", format!("{text}: {advice}")),
        _ => report.fail("clock", format!("{text}: {advice}")),
    }
    match off {
        Duration::ZERO => received,
        _ => date,
    }
}

/// An API method that needs no authentication.
const PING: &str = "/api/auth/v1/ping";

/// The maximum size of the response, in bytes; a server that is not a deployment may send a web page.
const MAX_PING: usize = 1024 * 1024;

pub(super) const NO_RESPONSE: &str = "not known: there is no response from the root URL";

/// The clock skew that is reported as ok: that of a clock that was not set for some weeks.
const TOLERABLE: Duration = Duration::from_secs(30);

/// The clock skew that is reported as a warning; more is a failure, because it will probably grow.
const BAD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared() {
        let now = Timestamp::from_millis(1_000_000_500);
        for (date, expected) in [
            (1_000_000, "ok    clock         the same as the deployment's, to the second"),
            (1_000_001, "ok    clock         the same as the deployment's, to the second"),
            (1_000_003, "ok    clock         1 s behind the deployment's"),
            (999_997, "ok    clock         2 s ahead of the deployment's"),
            (1_000_032, "warn  clock         30 s behind the deployment's: set it"),
            (999_965, "warn  clock         34 s ahead of the deployment's: set it"),
            (1_000_400, "fail  clock         398 s behind the deployment's: set it"),
            (999_700, "fail  clock         299 s ahead of the deployment's: set it"),
        ] {
            let mut report = Report::default();
            let date = Timestamp::from_secs(date);
            let interval = [now, now.plus(Duration::from_secs(1))];
            check_clock(Some(date), interval, &mut report);
            assert!(report.to_string().starts_with(expected), "{date}: {report}");
        }
    }
}
