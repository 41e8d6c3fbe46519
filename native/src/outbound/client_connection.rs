//! What a request's body has to do with the connection that it comes over.

use super::replay::AttemptGuard;
use std::cell::{Cell, RefCell};
use tokio_util::task::AbortOnDropHandle;

/// The state of a client's connection that outlives a request.
#[derive(Debug, Default)]
pub struct ClientConnection {
    /// The sending of a body that goes on after its response has ended.
    upload: RefCell<Option<Upload>>,
    /// The client has announced that no request follows the current one.
    is_last: Cell<bool>,
    /// All of the current request was received.
    is_received: Cell<bool>,
}

/// The sending of a body. It fails when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) attempt: AttemptGuard,
    /// The task of a connection of HTTP/1.1 that nothing else uses.
    pub(super) _task: Option<AbortOnDropHandle<()>>,
}

impl ClientConnection {
    /// A request begins. `is_last`: the client has announced that none follows.
    pub fn begin(&self, is_last: bool) {
        self.is_last.set(is_last);
        self.is_received.set(false);
    }

    /// All of it was received.
    pub(super) fn received(&self) {
        self.is_received.set(true);
    }

    /// Whether something may still come that the proxy will not read: the connection must not be closed
    /// at once then.
    pub fn expects_more(&self) -> bool {
        !(self.is_last.get() && self.is_received.get())
    }

    /// Lets the sending of a body go on for as long as the client is there.
    pub(super) fn keep(&self, upload: Upload) {
        self.upload.replace(Some(upload));
    }

    /// Whether a body is being sent although its response has ended.
    pub fn has_upload(&self) -> bool {
        self.upload.borrow().as_ref().is_some_and(|upload| !upload.attempt.is_over())
    }

    /// Ends that: the client has gone, which nobody notices while the upstream reads nothing.
    pub fn abort_upload(&self) {
        self.upload.take();
    }
}
