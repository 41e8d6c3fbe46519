//! A client of the soak test: sends the requests of its plans, and checks the responses.

use crate::mixed_load::behaviour::chunk;
use crate::mixed_load::deployment::{Attempt, Deployment, PendingRequest};
use crate::mixed_load::identity::Identity;
use crate::mixed_load::plan::{
    Behaviour, ClientAbort, EVENT_LENGTH, Plan, RequestKind, UPLOAD, content,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use support::http1::Body;
use support::{Connection, Random, Response};

/// Sends requests over one connection after the other, each kept open as long as possible.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    pub(crate) proxy: SocketAddr,
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) random: Random,
    pub(crate) counts: &'a OutcomeCounts,
}

/// How many requests ended in which way, each as planned.
#[derive(Debug, Default)]
pub(crate) struct OutcomeCounts {
    pub(crate) complete: AtomicU64,
    pub(crate) truncated: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) aborted: AtomicU64,
}

impl Client<'_> {
    /// Sends requests until this time.
    pub(crate) fn run(mut self, until: Instant) {
        let _failure_guard = self.deployment.failure_guard();
        let mut connection = None;
        while Instant::now() < until && !self.deployment.has_failed() {
            let open = connection.take().unwrap_or_else(|| Connection::open(self.proxy));
            connection = match self.random.below(12) {
                0 => self.pipeline(open),
                _ => self.exchange(open),
            };
        }
    }

    /// Sends one request; returns the connection if it can be reused.
    fn exchange(&mut self, mut connection: Connection) -> Option<Connection> {
        let pending = self.deployment.expect(Plan::any(&mut self.random));
        let request = request(&pending.plan);
        let response = match pending.plan.abort {
            Some(ClientAbort::DuringRequest) => {
                // The response may have been sent already, and the connection closed.
                let _ = connection.try_send(&request[..request.len() / 2]);
                None
            }
            Some(ClientAbort::BeforeResponse) => {
                let _ = connection.try_send(&request);
                None
            }
            Some(ClientAbort::DuringResponse) => {
                let _ = connection.try_send(&request);
                connection.head();
                None
            }
            None => {
                // The proxy may respond without reading all of a large request.
                let _ = connection.try_send(&request);
                Some(response(&mut connection, &pending))
            }
        };
        self.deployment.forget(&pending);
        let Some(response) = response else {
            self.counts.aborted.fetch_add(1, Ordering::Relaxed);
            if self.random.below(2) == 0 {
                connection.reset();
            }
            return None;
        };
        self.check(&pending, &response);
        let open = response.complete && response.header("connection") != Some("close");
        open.then_some(connection)
    }

    /// Pipelines some small requests, and reads the responses in the same order.
    fn pipeline(&mut self, mut connection: Connection) -> Option<Connection> {
        let count = 2 + self.random.below(4);
        let pending: Vec<Arc<PendingRequest>> =
            (0..count).map(|_| self.deployment.expect(Plan::pipelined(&mut self.random))).collect();
        connection
            .send(pending.iter().flat_map(|pending| request(&pending.plan)).collect::<Vec<u8>>());
        for pending in &pending {
            let response = response(&mut connection, pending);
            self.deployment.forget(pending);
            self.check(pending, &response);
        }
        Some(connection)
    }

    fn check(&self, pending: &PendingRequest, response: &Response) {
        let (plan, attempts) = (&pending.plan, pending.attempts());
        let details =
            || format!("{plan:?}: {attempts:?}; {:?} {}", response.head, beginning(response));
        let Some(Attempt { behaviour, client_id, .. }) = attempts.last() else {
            panic!("there is a response to a request that was not forwarded: {}", details());
        };
        assert_eq!(Identity::of(response), Some(client_id.as_str()), "{}", details());
        let expected = plan.response();
        let (status, complete, body) = (response.status(), response.complete, &response.body);
        let counted = if behaviour.fails() {
            let cannot_succeed = plan.never_succeeds() || !plan.is_replayable();
            assert!(cannot_succeed && complete && [502, 503].contains(&status), "{}", details());
            &self.counts.failed
        } else if *behaviour == Behaviour::Reject {
            assert_eq!(
                (status, complete, body.as_slice()),
                (413, true, &b"too large"[..]),
                "{}",
                details()
            );
            &self.counts.refused
        } else if behaviour.truncates() {
            let right = status == 200 && !complete && expected.starts_with(body);
            assert!(right, "{}", details());
            &self.counts.truncated
        } else {
            assert!(status == 200 && complete && *body == expected, "{}", details());
            &self.counts.complete
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

fn request(plan: &Plan) -> Vec<u8> {
    let (method, framing, body) = match plan.kind {
        RequestKind::Get | RequestKind::Download | RequestKind::Events => {
            ("GET", String::new(), Vec::new())
        }
        RequestKind::Echo(length) => {
            ("POST", format!("Content-Length: {length}\r\n"), content(plan.id, length))
        }
        RequestKind::Upload => {
            let chunks = content(plan.id, UPLOAD);
            let chunks = chunks.chunks(100_000).map(chunk).chain([b"0\r\n\r\n".to_vec()]);
            ("PUT", "Transfer-Encoding: chunked\r\n".to_owned(), chunks.flatten().collect())
        }
    };
    let head = format!("{method} /soak/v1/{} HTTP/1.1\r\nHost: x\r\n{framing}\r\n", plan.id);
    [head.as_bytes(), &body].concat()
}

/// Reads a response, and requests one event after the other if the plan has events.
fn response(connection: &mut Connection, pending: &PendingRequest) -> Response {
    let head = connection
        .head_or_end()
        .unwrap_or_else(|| panic!("no response: {:?}: {:?}", pending.plan, pending.attempts()));
    let mut framing = Body::of_response(&head, "GET");
    let mut body = Vec::new();
    let complete = loop {
        if pending.plan.kind == RequestKind::Events && body.len() % EVENT_LENGTH == 0 {
            pending.next_event.send(()).expect("the pending request has the receiver");
        }
        match connection.body_data(&mut framing) {
            Ok(Some(data)) => body.extend(data),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    Response { head, body, complete, trailers: framing.trailers().to_vec() }
}

fn beginning(response: &Response) -> String {
    let length = response.body.len();
    let beginning = String::from_utf8_lossy(&response.body[..length.min(200)]);
    format!("complete: {}, {length} bytes: {beginning:?}", response.complete)
}
