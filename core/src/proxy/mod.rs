//! What makes it this proxy: where a request goes, what happens to its headers, when it is tried
//! again, and what the proxy itself answers.

mod root_url;

pub use root_url::{RootUrl, RootUrlError};
