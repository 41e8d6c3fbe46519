//! What the proxy corrects about a request that a service refused: its time, and the length of its body.
//! The corrected request is sent at once, and does not count as a retry of the policy.

use super::service_clock::{ServiceClock, SkewCorrection};
use super::{Outbound, OutboundRequest, RequestBody, UpstreamResponse};
use crate::os::clock;
use http::StatusCode;
use taskcluster_proxy_core::proxy::Form;
use tokio::time::timeout;

/// The corrections of one request. Each is made once.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    /// The correction of the clock skew, until a response shows whether it helped.
    skew: Option<SkewCorrection>,
    /// Whether the request is signed with this machine's time, until a response shows whether it helped.
    pub(super) own_time: bool,
    /// Whether the length of the body was found.
    length: bool,
}

impl Corrections {
    /// Chooses another time for a request that may have been refused because of the time in its signature:
    /// that of the response. Returns whether there is another one.
    ///
    /// If the request was signed with that time already, it is this machine's: a gateway may have set the
    /// `Date` of this response, and of the one from which the time was learned.
    fn correct_time(&mut self, clock: &ServiceClock, refused: &UpstreamResponse) -> bool {
        let Some(date) = clock::date_of(&refused.head.headers) else {
            return false;
        };
        self.skew = clock.correct(refused.signed_at, date);
        self.own_time = self.skew.is_none() && clock.is_corrected();
        self.skew.is_some() || self.own_time
    }
}

impl Outbound {
    /// Learns what there is to learn from `response`. Returns whether the request is to be sent again with
    /// a correction.
    pub(super) async fn correct(
        &self,
        corrections: &mut Corrections,
        request: &OutboundRequest<'_>,
        response: &UpstreamResponse,
        body: &RequestBody,
    ) -> bool {
        if request.target.form == Form::Service && !self.clock.is_known() {
            self.observe_time(response);
        }
        match corrections.skew {
            _ if corrections.own_time && response.is_unauthorized() => false,
            None if response.is_unauthorized() && body.is_buffered() => {
                request.target.form == Form::Service
                    && request.signer.is_some()
                    && corrections.correct_time(&self.clock, response)
                    && self.retries()
            }
            // The request was refused with the corrected time as well, so the reason is another one.
            Some(correction) if response.is_unauthorized() => {
                self.clock.undo(correction);
                false
            }
            _ if response.requires_length() && !corrections.length => {
                corrections.length = self.retries() && self.find_length(body).await;
                corrections.length
            }
            _ if corrections.own_time && !response.head.status.is_server_error() => {
                if self.clock.use_own_time() {
                    self.clock.warn_of_correction();
                }
                corrections.own_time = false;
                false
            }
            Some(correction) if !response.head.status.is_server_error() => {
                self.warn_of_skew(correction);
                corrections.skew = None;
                false
            }
            _ => false,
        }
    }

    /// Learns the services' time from the first response of a service. It ignores a 401, which
    /// [`Corrections::correct_time`] handles.
    fn observe_time(&self, response: &UpstreamResponse) {
        let headers = &response.head.headers;
        if response.is_unauthorized() {
            return;
        }
        if clock::date_of(headers).is_some_and(|date| self.clock.observe(date)) {
            self.clock.warn_of_correction();
        }
    }

    /// Logs a correction, after a request that was signed with the corrected time was accepted. If it was
    /// refused, the diagnosis of the response gives the reason.
    fn warn_of_skew(&self, correction: SkewCorrection) {
        if correction.is_new() {
            self.clock.warn_of_correction();
        }
    }

    /// Determines the length of a chunked body by reading it to its end, if the replay buffer can hold all
    /// of it. Returns whether the length is known now.
    async fn find_length(&self, body: &RequestBody) -> bool {
        if body.length().is_some() || !body.is_buffered() {
            return false;
        }
        // The attempt that was refused must not read more of the body.
        body.suspend();
        timeout(self.policy.budget, body.read_to_end()).await.unwrap_or(false)
    }
}

impl UpstreamResponse {
    /// Whether the upstream rejects a body without a Content-Length.
    fn requires_length(&self) -> bool {
        self.head.status == StatusCode::LENGTH_REQUIRED
    }

    fn is_unauthorized(&self) -> bool {
        self.head.status == StatusCode::UNAUTHORIZED
    }
}
