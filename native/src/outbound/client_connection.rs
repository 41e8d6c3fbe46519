//! The state of a client's connection that concerns request bodies.

use super::replay::AttemptGuard;
use std::cell::{Cell, RefCell};
use tokio_util::task::AbortOnDropHandle;

/// The state of a client's connection that outlives a single request.
#[derive(Debug, Default)]
pub struct ClientConnection {
    /// The upload that continues after its response has ended.
    upload: RefCell<Option<Upload>>,
    /// Whether the client has announced that the current request is its last.
    is_last: Cell<bool>,
    /// Whether all of the current request was received.
    is_received: Cell<bool>,
}

/// A request body that is being sent to an upstream. Sending it is aborted when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) attempt: AttemptGuard,
    /// The task of an HTTP/1.1 connection that nothing else uses.
    pub(super) _task: Option<AbortOnDropHandle<()>>,
}

impl ClientConnection {
    /// Records that a request begins. `is_last` says whether the client has announced that it is the last.
    pub fn begin(&self, is_last: bool) {
        self.is_last.set(is_last);
        self.is_received.set(false);
    }

    /// Records that all of the current request was received.
    pub(super) fn received(&self) {
        self.is_received.set(true);
    }

    /// Whether the client may still send bytes that the proxy will not read. The connection then needs a
    /// lingering close.
    pub fn expects_more(&self) -> bool {
        !(self.is_last.get() && self.is_received.get())
    }

    /// Lets an upload continue for as long as the client's connection is open.
    pub(super) fn keep(&self, upload: Upload) {
        self.upload.replace(Some(upload));
    }

    /// Releases the upload if it is over.
    pub(super) fn release_upload(&self) {
        let released = self.upload.borrow_mut().take_if(|upload| upload.attempt.is_over());
        drop(released);
    }

    /// Whether an upload continues although its response has ended.
    pub fn has_upload(&self) -> bool {
        self.upload.borrow().as_ref().is_some_and(|upload| !upload.attempt.is_over())
    }

    /// Aborts the upload because the client has closed its connection, which the upload itself does not
    /// notice while the upstream reads nothing.
    pub fn abort_upload(&self) {
        self.upload.take();
    }
}
