//! The configuration of the handling of requests.

/// Which requests are rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Who may change the credentials.
    pub credentials_from: CredentialsFrom,
    /// Whether requests of web pages are rejected.
    pub reject_browsers: bool,
}

/// Who may change the credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// Every client that may connect.
    #[default]
    Any,
    /// The user who runs the proxy.
    SameUser,
    /// root; SYSTEM on Windows.
    Root,
}
