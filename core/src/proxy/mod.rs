//! What makes it this proxy: where a request goes, what happens to its headers, when it is tried
//! again, and what the proxy itself answers.

mod error;
mod headers;
mod retry;
mod root_url;
mod route;

pub use error::ProxyError;
pub use headers::{ReplyHeaders, has_transfer_coding, strip_hop_by_hop};
pub use retry::{Decision, Outcome, Repeatable, RetryPolicy};
pub use root_url::{RootUrl, RootUrlError};
pub use route::{Form, Route, RouteError, Target, route};
