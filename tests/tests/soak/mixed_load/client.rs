//! A client of the soak: sends what its plans say, and judges what it gets.

use crate::mixed_load::deed::chunk;
use crate::mixed_load::deployment::{Attempt, Deployment, Ticket};
use crate::mixed_load::identity::Identity;
use crate::mixed_load::plan::{Deed, Leaving, Load, PIECE, Plan, UPLOAD, content};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use support::http1::Body;
use support::{Connection, Random, Response};

/// One client after the other, each with a connection that lasts as long as both sides let it.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    pub(crate) proxy: SocketAddr,
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) random: Random,
    pub(crate) tally: &'a Tally,
}

/// How requests ended, each as its plan had it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) whole: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) left: AtomicU64,
}

impl Client<'_> {
    /// Goes on until then.
    pub(crate) fn run(mut self, until: Instant) {
        let _alarm = self.deployment.alarm();
        let mut connection = None;
        while Instant::now() < until && !self.deployment.has_failed() {
            let open = connection.take().unwrap_or_else(|| Connection::open(self.proxy));
            connection = match self.random.below(12) {
                0 => self.pipeline(open),
                _ => self.exchange(open),
            };
        }
    }

    /// One request; the connection comes back if it can be used for another one.
    fn exchange(&mut self, mut connection: Connection) -> Option<Connection> {
        let ticket = self.deployment.expect(Plan::any(&mut self.random));
        let request = request(&ticket.plan);
        let response = match ticket.plan.leaving {
            Some(Leaving::InRequest) => {
                // The answer may have come already, and the connection be closed.
                let _ = connection.try_send(&request[..request.len() / 2]);
                None
            }
            Some(Leaving::BeforeAnswer) => {
                let _ = connection.try_send(&request);
                None
            }
            Some(Leaving::InAnswer) => {
                let _ = connection.try_send(&request);
                connection.head();
                None
            }
            None => {
                // Refused, the rest of a large one may not be taken: the answer is there then.
                let _ = connection.try_send(&request);
                Some(response(&mut connection, &ticket))
            }
        };
        self.deployment.forget(&ticket);
        let Some(response) = response else {
            self.tally.left.fetch_add(1, Ordering::Relaxed);
            if self.random.below(2) == 0 {
                connection.reset();
            }
            return None;
        };
        self.judge(&ticket, &response);
        let open = response.complete && response.header("connection") != Some("close");
        open.then_some(connection)
    }

    /// Some small requests before the first answer; the answers come in the same order.
    fn pipeline(&mut self, mut connection: Connection) -> Option<Connection> {
        let count = 2 + self.random.below(4);
        let tickets: Vec<Arc<Ticket>> =
            (0..count).map(|_| self.deployment.expect(Plan::pipelined(&mut self.random))).collect();
        connection
            .send(tickets.iter().flat_map(|ticket| request(&ticket.plan)).collect::<Vec<u8>>());
        for ticket in &tickets {
            let response = response(&mut connection, ticket);
            self.deployment.forget(ticket);
            self.judge(ticket, &response);
        }
        Some(connection)
    }

    fn judge(&self, ticket: &Ticket, response: &Response) {
        let (plan, attempts) = (&ticket.plan, ticket.attempts());
        let story =
            || format!("{plan:?}: {attempts:?}; {:?} {}", response.head, beginning(response));
        let Some(Attempt { deed, client_id, .. }) = attempts.last() else {
            panic!("answered and never sent: {}", story());
        };
        assert_eq!(Identity::of(response), Some(client_id.as_str()), "{}", story());
        let answer = plan.answer();
        let (status, complete, body) = (response.status(), response.complete, &response.body);
        let counted = if deed.fails() {
            let no_chance = plan.is_hopeless() || !plan.is_kept();
            assert!(no_chance && complete && [502, 503].contains(&status), "{}", story());
            &self.tally.failed
        } else if *deed == Deed::Refuse {
            assert_eq!(
                (status, complete, body.as_slice()),
                (413, true, &b"too large"[..]),
                "{}",
                story()
            );
            &self.tally.refused
        } else if deed.cuts() {
            let right = status == 200 && !complete && answer.starts_with(body);
            assert!(right, "{}", story());
            &self.tally.cut
        } else {
            assert!(status == 200 && complete && *body == answer, "{}", story());
            &self.tally.whole
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }
}

fn request(plan: &Plan) -> Vec<u8> {
    let (method, framing, body) = match plan.load {
        Load::Get | Load::Download | Load::Events => ("GET", String::new(), Vec::new()),
        Load::Echo(length) => {
            ("POST", format!("Content-Length: {length}\r\n"), content(plan.id, length))
        }
        Load::Upload => {
            let chunks = content(plan.id, UPLOAD);
            let chunks = chunks.chunks(100_000).map(chunk).chain([b"0\r\n\r\n".to_vec()]);
            ("PUT", "Transfer-Encoding: chunked\r\n".to_owned(), chunks.flatten().collect())
        }
    };
    let head = format!("{method} /soak/v1/{} HTTP/1.1\r\nHost: x\r\n{framing}\r\n", plan.id);
    [head.as_bytes(), &body].concat()
}

/// Asks for one piece after the other, should the upstream wait for that.
fn response(connection: &mut Connection, ticket: &Ticket) -> Response {
    let head = connection
        .head_or_end()
        .unwrap_or_else(|| panic!("no answer: {:?}: {:?}", ticket.plan, ticket.attempts()));
    let mut framing = Body::of_response(&head, "GET");
    let mut body = Vec::new();
    let complete = loop {
        if ticket.plan.load == Load::Events && body.len() % PIECE == 0 {
            ticket.next_piece.send(()).expect("the ticket has the other end");
        }
        match connection.body_data(&mut framing) {
            Ok(Some(piece)) => body.extend(piece),
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
