//! A client of the storm test: sends the requests of its plans, and checks the responses.

use crate::upstream_faults::destinations::Destinations;
use crate::upstream_faults::plan::{Destination, Fault, Plan};
use crate::upstream_faults::services::{AttemptOutcome, Services};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use support::{Connection, Random, Response, request};

pub(crate) struct Client<'a> {
    pub(crate) proxy: SocketAddr,
    pub(crate) services: &'a Services,
    pub(crate) destinations: &'a Destinations,
    pub(crate) random: Random,
    /// How requests ended.
    pub(crate) counts: &'a Mutex<BTreeMap<&'static str, usize>>,
}

/// The final response may be a 401 if the services' clock was set less than this before it, between the
/// two attempts.
const AFTER_STEP: Duration = Duration::from_secs(1);

impl Client<'_> {
    /// Sends one request for each of these positions in the order of destinations.
    pub(crate) fn run(mut self, positions: impl Iterator<Item = usize>) {
        let mut connection = None;
        for position in positions {
            let plan = Plan::of(Plan::id(&mut self.random, position));
            let open = connection.take().unwrap_or_else(|| Connection::open(self.proxy));
            connection = self.exchange(&plan, open);
        }
        // There is no second response to a request.
        if let Some(mut connection) = connection {
            connection.finish_sending();
            assert_eq!(connection.read_to_end(), b"");
        }
    }

    /// Sends one request; returns the connection if it can be reused.
    fn exchange(&self, plan: &Plan, mut connection: Connection) -> Option<Connection> {
        let method = if plan.put { "PUT" } else { "GET" };
        let body = if plan.put { plan.content() } else { String::new() };
        connection.send(request(method, &self.destinations.target(plan), body));
        if plan.aborts {
            self.count("aborted by their clients");
            if plan.put {
                connection.reset();
            }
            return None;
        }
        let response = connection.response();
        self.count(self.check(plan, &response));
        if response.complete && response.header("connection") != Some("close") {
            return Some(connection);
        }
        // Nothing follows a truncated response.
        assert_eq!(connection.read_to_end(), b"", "{plan:?}");
        None
    }

    /// Fails unless `response` is possible for the plan; returns the outcome.
    fn check(&self, plan: &Plan, response: &Response) -> &'static str {
        let attempts = self.services.attempts(plan.id);
        let details = || format!("{plan:?}: {attempts:?}; {response:?}");
        if !plan.destination.has_upstream() {
            assert!(attempts.is_empty() && response.complete, "{}", details());
            return unreachable(plan.destination, response)
                .unwrap_or_else(|| panic!("{}", details()));
        }
        let last = attempts.last().unwrap_or_else(|| panic!("not forwarded: {}", details()));
        let client_id = ["x-taskcluster-proxy-perm-clientid", "x-taskcluster-proxy-temp-clientid"];
        let client_id = client_id.into_iter().find_map(|name| response.header(name));
        for attempt in &attempts {
            assert_eq!(Some(attempt.client_id.as_str()), client_id, "{}", details());
        }
        let (status, text) = (response.status(), response.text());
        let content = plan.content();
        match (last.outcome, status) {
            (AttemptOutcome::Served, 200) if response.complete && text == content => "complete",
            (AttemptOutcome::Failed(fault), 200)
                if !response.complete
                    && content.starts_with(text)
                    && fault.at().is_some_and(|at| at >= plan.head("").len()) =>
            {
                "truncated"
            }
            (AttemptOutcome::Failed(Fault::Status(given)), _)
                if response.complete && (status, text) == (given, "busy") =>
            {
                "failed"
            }
            (AttemptOutcome::Failed(fault), 502) if fault.at().is_some() && text != "busy" => {
                response.assert_error(502, "UpstreamUnreachable");
                "connection lost"
            }
            (AttemptOutcome::Stale, 401) if attempts.len() > 1 && last.since_step < AFTER_STEP => {
                "stale"
            }
            // The retry budget was used up: this is an earlier response, or an error of the proxy.
            (_, 500 | 502..=504) if attempts.len() > 1 && response.complete => "given up",
            _ => panic!("{}", details()),
        }
    }

    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }
}

impl Fault {
    /// The length to which it truncates the response.
    fn at(self) -> Option<usize> {
        match self {
            Self::Reset(at) | Self::Close(at) => Some(at),
            Self::Status(_) => None,
        }
    }
}

/// The outcome for a destination without an upstream; `None` if the error has another reason.
fn unreachable(destination: Destination, response: &Response) -> Option<&'static str> {
    // The retry budget may end within an attempt.
    if matches!(destination, Destination::Nameless | Destination::Closed)
        && response.status() == 504
    {
        response.assert_error(504, "UpstreamTimedOut");
        return Some("given up");
    }
    let message = response.assert_error(502, "UpstreamUnreachable");
    let (reason, what) = match destination {
        Destination::Nameless => ("cannot connect: ", "no such name"),
        Destination::Closed => ("refused", "refused"),
        Destination::Expired => ("its certificate has expired", "expired certificate"),
        Destination::WrongName => {
            ("its certificate is for another name", "certificate for another name")
        }
        Destination::UnknownIssuer => {
            ("was not issued by a certificate that is trusted", "untrusted certificate")
        }
        Destination::Service | Destination::Tls | Destination::Http2 => return None,
    };
    message.contains(reason).then_some(what)
}
