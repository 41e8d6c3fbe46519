//! A client of the storm: sends what its plans say, and judges what it gets.

use crate::upstream_faults::plan::{Fault, Plan, Road};
use crate::upstream_faults::roads::Roads;
use crate::upstream_faults::services::{Deed, Services};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use support::{Connection, Random, Response, request};

pub(crate) struct Client<'a> {
    pub(crate) proxy: SocketAddr,
    pub(crate) services: &'a Services,
    pub(crate) roads: &'a Roads,
    pub(crate) random: Random,
    /// How requests ended.
    pub(crate) tally: &'a Mutex<BTreeMap<&'static str, usize>>,
}

/// A 401 may pass when the clock was set so short a time ago: between the two attempts, that is.
const AROUND_A_STEP: Duration = Duration::from_secs(1);

impl Client<'_> {
    /// One request of each place in the order of roads.
    pub(crate) fn run(mut self, places: impl Iterator<Item = usize>) {
        let mut connection = None;
        for place in places {
            let plan = Plan::of(Plan::id(&mut self.random, place));
            let open = connection.take().unwrap_or_else(|| Connection::open(self.proxy));
            connection = self.exchange(&plan, open);
        }
        // Nothing was answered twice.
        if let Some(mut connection) = connection {
            connection.finish_sending();
            assert_eq!(connection.read_to_end(), b"");
        }
    }

    /// One request; the connection comes back if it can be used for another one.
    fn exchange(&self, plan: &Plan, mut connection: Connection) -> Option<Connection> {
        let method = if plan.put { "PUT" } else { "GET" };
        let body = if plan.put { plan.content() } else { String::new() };
        connection.send(request(method, &self.roads.target(plan), body));
        if plan.leaves {
            self.count("left by their clients");
            if plan.put {
                connection.reset();
            }
            return None;
        }
        let response = connection.response();
        self.count(self.judge(plan, &response));
        if response.complete && response.header("connection") != Some("close") {
            return Some(connection);
        }
        // What looks cut off ends there.
        assert_eq!(connection.read_to_end(), b"", "{plan:?}");
        None
    }

    /// Fails unless `response` is what becomes of such a plan; says what that is.
    fn judge(&self, plan: &Plan, response: &Response) -> &'static str {
        let attempts = self.services.attempts(plan.id);
        let story = || format!("{plan:?}: {attempts:?}; {response:?}");
        if !plan.road.leads_somewhere() {
            assert!(attempts.is_empty() && response.complete, "{}", story());
            return unreachable(plan.road, response).unwrap_or_else(|| panic!("{}", story()));
        }
        let last = attempts.last().unwrap_or_else(|| panic!("never sent: {}", story()));
        let by = ["x-taskcluster-proxy-perm-clientid", "x-taskcluster-proxy-temp-clientid"];
        let by = by.into_iter().find_map(|name| response.header(name));
        for attempt in &attempts {
            assert_eq!(Some(attempt.client_id.as_str()), by, "{}", story());
        }
        let (status, text) = (response.status(), response.text());
        let content = plan.content();
        match (last.deed, status) {
            (Deed::Served, 200) if response.complete && text == content => "whole",
            (Deed::Failed(fault), 200)
                if !response.complete
                    && content.starts_with(text)
                    && fault.at().is_some_and(|at| at >= plan.head("").len()) =>
            {
                "cut"
            }
            (Deed::Failed(Fault::Status(given)), _)
                if response.complete && (status, text) == (given, "busy") =>
            {
                "failed"
            }
            (Deed::Failed(fault), 502) if fault.at().is_some() && text != "busy" => {
                response.assert_error(502, "UpstreamUnreachable");
                "broken"
            }
            (Deed::Stale, 401) if attempts.len() > 1 && last.since_step < AROUND_A_STEP => "stale",
            // All retries had their time; the answer is an earlier one, or the proxy's own.
            (_, 500 | 502..=504) if attempts.len() > 1 && response.complete => "given up",
            _ => panic!("{}", story()),
        }
    }

    fn count(&self, what: &'static str) {
        *self.tally.lock().unwrap().entry(what).or_default() += 1;
    }
}

impl Fault {
    /// Where it breaks the answer off.
    fn at(self) -> Option<usize> {
        match self {
            Self::Reset(at) | Self::Close(at) => Some(at),
            Self::Status(_) => None,
        }
    }
}

/// Which reason the proxy gives, if it is the right one.
fn unreachable(road: Road, response: &Response) -> Option<&'static str> {
    // Of what is tried again, the time may be over in the middle of an attempt.
    if matches!(road, Road::Nameless | Road::Closed) && response.status() == 504 {
        response.assert_error(504, "UpstreamTimedOut");
        return Some("given up");
    }
    let message = response.assert_error(502, "UpstreamUnreachable");
    let (reason, what) = match road {
        Road::Nameless => ("cannot connect: ", "no such name"),
        Road::Closed => ("refused", "refused"),
        Road::Expired => ("its certificate has expired", "certificate expired"),
        Road::WrongName => ("its certificate is for another name", "certificate of another"),
        Road::UnknownIssuer => {
            ("was not issued by a certificate that is trusted", "certificate of nobody")
        }
        Road::Service | Road::Tls | Road::Http2 => return None,
    };
    message.contains(reason).then_some(what)
}
