//! What the proxy corrects about a request that a service refused: its time, and the length of its body.
//! The corrected request is sent at once, and does not count as a retry of the policy.

use super::service_clock::{ServiceClock, SkewCorrection};
use super::{Outbound, OutboundRequest, RequestBody, UpstreamResponse};
use crate::os::clock;
use http::StatusCode;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::proxy::{Form, ServiceError};
use tokio::time::timeout;

/// The corrections of one request.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    /// The correction of the clock skew, until a response shows whether it helped.
    skew: Option<SkewCorrection>,
    /// The services' time with which the request was signed and refused, if it is sent again with this machine's
    /// time instead, until a response shows whether that helped.
    refused_time: Option<Timestamp>,
    /// Whether the length of the body was found.
    length: bool,
}

impl Corrections {
    /// Whether the request is to be signed with this machine's time instead of the services'.
    pub(super) fn use_machine_time(&self) -> bool {
        self.refused_time.is_some()
    }

    /// Chooses another time for a request that may have been refused because of the time in its signature.
    /// Returns whether there is one.
    async fn correct_time(&mut self, clock: &ServiceClock, refused: &mut UpstreamResponse) -> bool {
        let Some(date) = clock::date_of(&refused.head.headers) else {
            return false;
        };
        self.skew = clock.correct(refused.signed_at, date);
        self.skew.is_some() || self.try_machine_time(clock, refused).await
    }

    /// Chooses this machine's time, if the service refused another one by name: a gateway may have set the
    /// `Date` from which that was learned. Returns whether it was chosen.
    async fn try_machine_time(
        &mut self,
        clock: &ServiceClock,
        refused: &mut UpstreamResponse,
    ) -> bool {
        if clock.is_corrected() && refused.has_stale_timestamp().await {
            self.refused_time = Some(refused.signed_at);
        }
        self.use_machine_time()
    }
}

impl Outbound {
    /// Updates the services' time from `response`, and chooses a correction. Returns whether the request is to
    /// be sent again with it.
    pub(super) async fn correct(
        &self,
        corrections: &mut Corrections,
        request: &OutboundRequest<'_>,
        response: &mut UpstreamResponse,
        body: &RequestBody,
    ) -> bool {
        if request.target.form == Form::Service && !self.clock.is_known() {
            self.observe_time(response);
        }
        match (corrections.skew, corrections.refused_time) {
            (_, Some(time)) if response.is_unauthorized() => {
                // Both times were refused. The diagnosis is about the services' time.
                response.signed_at = time;
                false
            }
            (None, None) if response.is_unauthorized() && body.is_buffered() => {
                request.target.form == Form::Service
                    && request.signer.is_some()
                    && corrections.correct_time(&self.clock, response).await
                    && self.retries()
            }
            // The request was refused with the corrected time as well.
            (Some(correction), _) if response.is_unauthorized() => {
                self.clock.undo(correction);
                body.is_buffered()
                    && self.retries()
                    && corrections.try_machine_time(&self.clock, response).await
            }
            _ if response.requires_length() && !corrections.length => {
                corrections.length = self.retries() && self.find_length(body).await;
                corrections.length
            }
            (_, Some(_)) if !response.head.status.is_server_error() => {
                self.clock.reset();
                corrections.refused_time = None;
                false
            }
            (Some(correction), _) if !response.head.status.is_server_error() => {
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
        let date = clock::date_of(&response.head.headers).filter(|_| !response.is_unauthorized());
        if date.is_some_and(|date| self.clock.observe(date)) {
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

    /// Whether the service says that it refused the time in the signature. Services do not compress errors
    /// that are this short.
    async fn has_stale_timestamp(&mut self) -> bool {
        let body = timeout(ERROR_TIMEOUT, self.body.peek(MAX_ERROR)).await.unwrap_or_default();
        let error = body.and_then(|body| ServiceError::parse(&body));
        error.is_some_and(|error| error.is_stale_timestamp())
    }
}

/// How long to wait for the body of an error.
const ERROR_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum size of an error that is read, in bytes.
const MAX_ERROR: usize = 16 * 1024;
