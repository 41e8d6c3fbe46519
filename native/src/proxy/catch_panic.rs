//! Catches panics of request handlers, so that only the request in which one occurs fails.

use super::{Client, Handler, ResponseBody};
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use taskcluster_proxy_core::proxy::ProxyError;

/// Responds with 500 if the handler of a request panics. `log::panics` logs the location.
#[derive(Debug)]
pub struct CatchPanic<H>(pub H);

impl<H: Handler> Handler for CatchPanic<H> {
    async fn handle(&self, request: Request<Incoming>, client: &Client) -> Response<ResponseBody> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let mut handling = pin!(self.0.handle(request, client));
        let handled = poll_fn(|context| {
            // The future is not polled again after a panic.
            match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context))) {
                Ok(polled) => polled.map(Some),
                Err(_) => Poll::Ready(None),
            }
        });
        match handled.await {
            Some(response) => response,
            None => self.reject(&method, &uri, ProxyError::Internal).await,
        }
    }

    async fn reject(
        &self,
        method: &Method,
        uri: &Uri,
        error: ProxyError,
    ) -> Response<ResponseBody> {
        self.0.reject(method, uri, error).await
    }
}
