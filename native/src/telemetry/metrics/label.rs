//! The labels of metrics. Their number of values does not depend on clients.

use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt::{self, Write as _};
use taskcluster_proxy_core::proxy::Outcome as Attempted;

/// Defines an enum of the values of a label, with their names.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name of the value in metrics and in the log.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                encoder.write_str(self.as_str())
            }
        }
    };
}

label! {
    /// The service or endpoint that a request is for.
    Service {
        /// The auth service.
        Auth = "auth",
        /// The github service.
        Github = "github",
        /// The hooks service.
        Hooks = "hooks",
        /// The index service.
        Index = "index",
        /// The notify service.
        Notify = "notify",
        /// The object service.
        Object = "object",
        /// The purge-cache service.
        PurgeCache = "purge-cache",
        /// The queue service.
        Queue = "queue",
        /// The secrets service.
        Secrets = "secrets",
        /// The worker-manager service.
        WorkerManager = "worker-manager",
        /// A service with another name.
        Other = "other",
        /// A host (`/<host>/<path>`).
        Host = "host",
        /// `POST /bewit`.
        Bewit = "bewit",
        /// `PUT /credentials`.
        Credentials = "credentials",
        /// No route matches the request.
        None = "none",
    }
}

label! {
    /// The method of a request.
    MethodLabel {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// OPTIONS.
        Options = "OPTIONS",
        /// Any other method.
        Other = "other",
    }
}

label! {
    /// The class of a response's status.
    StatusClass {
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirect = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 to 599.
        ServerError = "5xx",
        /// Another status.
        Other = "other",
        /// There was no response.
        None = "none",
    }
}

label! {
    /// How a request ended.
    Outcome {
        /// The whole response was sent.
        Complete = "complete",
        /// The client closed the connection, or its sending side, before the end of the response.
        ClientClosed = "client_closed",
        /// The response ended early: the upstream truncated it, or it was aborted because the proxy stopped.
        Truncated = "truncated",
        /// The proxy itself responded with a 5xx.
        Error = "error",
    }
}

label! {
    /// Why a request is retried.
    Retry {
        /// No connection could be made.
        Connect = "connect",
        /// The connection was closed before a response.
        Broken = "broken",
        /// The response was a 5xx.
        Status = "status",
    }
}

label! {
    /// Why a connection is closed without a response.
    Rejection {
        /// It belongs to a user that is not allowed.
        User = "user",
        /// It is from another machine or network namespace, with an address that is not allowed.
        Network = "network",
        /// The client has closed it, or no process owns its socket.
        Gone = "gone",
        /// Its owner cannot be looked up.
        Unknown = "unknown",
        /// The TLS handshake failed.
        Tls = "tls",
    }
}

label! {
    /// The source of an update of the credentials.
    Source {
        /// `PUT /credentials`.
        Put = "put",
        /// `--credentials-file`.
        File = "file",
    }
}

label! {
    /// The result of an update of the credentials.
    Update {
        /// The credentials became the current ones.
        Taken = "taken",
        /// The credentials were invalid.
        Refused = "refused",
    }
}

/// The labels of requests that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The service or endpoint.
    pub service: Service,
    /// The method.
    pub method: MethodLabel,
    /// The class of the response's status.
    pub status: StatusClass,
    /// How the request ended.
    pub outcome: Outcome,
}

/// The label of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ServiceLabels {
    pub(super) service: Service,
}

/// The label of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RetryLabels {
    pub(super) reason: Retry,
}

/// The label of rejected connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RejectionLabels {
    pub(super) reason: Rejection,
}

/// The labels of updates of the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UpdateLabels {
    pub(super) source: Source,
    pub(super) result: Update,
}

impl Service {
    /// The service in a path `/api/<service>/...` or `/<service>/...`.
    pub fn of(resource: &str) -> Self {
        let path = resource.strip_prefix("/api/").or_else(|| resource.strip_prefix('/'));
        let name = path.and_then(|path| path.split('/').next()).unwrap_or_default();
        match name {
            "auth" => Self::Auth,
            "github" => Self::Github,
            "hooks" => Self::Hooks,
            "index" => Self::Index,
            "notify" => Self::Notify,
            "object" => Self::Object,
            "purge-cache" => Self::PurgeCache,
            "queue" => Self::Queue,
            "secrets" => Self::Secrets,
            "worker-manager" => Self::WorkerManager,
            _ => Self::Other,
        }
    }
}

impl MethodLabel {
    /// The label of a method.
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}

impl StatusClass {
    /// The class of a status; 0 stands for no response.
    pub fn of(status: u16) -> Self {
        match status {
            0 => Self::None,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Other,
        }
    }
}

impl Retry {
    /// The reason for a retry after an attempt with this outcome.
    pub fn after(attempted: Attempted) -> Self {
        match attempted {
            Attempted::Responded(_) => Self::Status,
            Attempted::NothingSent => Self::Connect,
            Attempted::NoResponse | Attempted::Permanent => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_services_are_other() {
        for service in Service::ALL.iter().take(Service::Other as usize) {
            for form in
                [format!("/api/{}/v1/x", service.as_str()), format!("/{}/v1/x", service.as_str())]
            {
                assert_eq!(Service::of(&form), *service);
            }
        }
        for resource in ["/api/bewit/v1/x", "/queue2/v1/x", "/api", "", "/host/v1/x", "*"] {
            assert_eq!(Service::of(resource), Service::Other, "{resource}");
        }
    }

    #[test]
    fn statuses_have_classes() {
        for (status, class) in
            [(0, "none"), (100, "other"), (204, "2xx"), (404, "4xx"), (599, "5xx")]
        {
            assert_eq!(StatusClass::of(status).as_str(), class);
        }
    }
}
