//! The upstream of the soak test: carries out the plans, and verifies each signature.

use crate::mixed_load::behaviour::End;
use crate::mixed_load::identity::Identity;
use crate::mixed_load::plan::{Behaviour, Plan};
use std::collections::HashMap;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;
use support::Request;
use support::http1::{Body, Head};

#[derive(Debug)]
pub(crate) struct Deployment {
    address: SocketAddr,
    identities: [Identity; 2],
    pending: Mutex<HashMap<u64, Arc<PendingRequest>>>,
    started: Instant,
    attempts: AtomicU64,
    failed: AtomicBool,
}

/// A request in flight, shared by its client and the upstream.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    pub(crate) plan: Plan,
    /// The attempts in the order in which they were received.
    attempts: Mutex<Vec<Attempt>>,
    /// With this the client requests the next event.
    pub(crate) next_event: Sender<()>,
    pub(crate) event_requests: Mutex<Receiver<()>>,
}

/// An attempt as the upstream received it, and what the upstream did.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) behaviour: Behaviour,
    pub(crate) client_id: String,
    nonce: String,
}

/// Reports a thread that panics, so that the others stop.
#[derive(Debug)]
pub(crate) struct FailureGuard(Arc<Deployment>);

/// In milliseconds: every 5 s there is a burst of 503, too short for all attempts of a request.
const BURST_EVERY: u128 = 5000;
const BURST: u128 = 250;

impl Deployment {
    pub(crate) fn start(identities: [Identity; 2]) -> Arc<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let deployment = Arc::new(Self {
            address: listener.local_addr().expect("a listener has an address"),
            identities,
            pending: Mutex::default(),
            started: Instant::now(),
            attempts: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&deployment);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let failure_guard = FailureGuard(Arc::clone(&shared));
                // An error only ends the connection.
                thread::spawn(move || failure_guard.0.serve(&stream).ok());
            }
        });
        deployment
    }

    pub(crate) fn root_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn identities(&self) -> &[Identity; 2] {
        &self.identities
    }

    /// How many attempts were received.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    pub(crate) fn failure_guard(self: &Arc<Self>) -> FailureGuard {
        FailureGuard(Arc::clone(self))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Registers a request before it is sent.
    pub(crate) fn expect(&self, plan: Plan) -> Arc<PendingRequest> {
        let (next_event, event_requests) = channel();
        let pending = Arc::new(PendingRequest {
            plan,
            attempts: Mutex::default(),
            next_event,
            event_requests: Mutex::new(event_requests),
        });
        self.pending.lock().unwrap().insert(pending.plan.id, Arc::clone(&pending));
        pending
    }

    /// Removes a request whose client does not wait any more.
    pub(crate) fn forget(&self, pending: &PendingRequest) {
        self.pending.lock().unwrap().remove(&pending.plan.id);
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut from = BufReader::with_capacity(64 * 1024, stream);
        while let Some(head) = Head::read(&mut from)? {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let mut body = Body::of_request(&head);
            let (client_id, nonce) = self.verify(head.clone());
            let id = head.word(1).rsplit('/').next().and_then(|id| id.parse().ok());
            let pending = id.and_then(|id: u64| self.pending.lock().unwrap().get(&id).cloned());
            // The client has disconnected meanwhile.
            let Some(pending) = pending else { return Ok(()) };
            let behaviour = pending.attempt(client_id, nonce, self.is_busy());
            behaviour.act(&pending, &mut from, &mut body)?;
            if behaviour.end(stream)? == End::Closed {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The clientId and the nonce; fails unless the request is signed by one of the identities.
    fn verify(&self, head: Head) -> (String, String) {
        let request = Request {
            index: 0,
            connection: 0,
            head,
            body: Vec::new(),
            body_length: 0,
            complete: false,
            trailers: Vec::new(),
        };
        let claim = Identity::verify(&self.identities, &request);
        (claim.id, claim.nonce)
    }

    fn is_busy(&self) -> bool {
        self.started.elapsed().as_millis() % BURST_EVERY >= BURST_EVERY - BURST
    }
}

impl PendingRequest {
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }

    fn attempt(&self, client_id: String, nonce: String, busy: bool) -> Behaviour {
        let mut attempts = self.attempts.lock().unwrap();
        for before in attempts.iter() {
            assert_ne!(before.nonce, nonce, "{:?}: each attempt has its own nonce", self.plan);
            assert_eq!(
                before.client_id, client_id,
                "{:?}: all attempts have the same credentials",
                self.plan
            );
        }
        let behaviours = &self.plan.behaviours;
        let planned = behaviours
            .get(attempts.len())
            .or(behaviours.last())
            .copied()
            .unwrap_or(Behaviour::Serve);
        let behaviour = if busy { Behaviour::Busy } else { planned };
        attempts.push(Attempt { behaviour, client_id, nonce });
        behaviour
    }
}

impl Drop for FailureGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}
