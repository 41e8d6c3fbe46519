//! What requests are told apart by: few values each, whatever clients send.

use http::Method;
use taskcluster_proxy_core::proxy::Outcome as Attempted;

/// An enum of values for one label, with their names.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them, as they are numbered.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in metrics and in the log.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

label! {
    /// What a request is for.
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
        /// A service of another name.
        Other = "other",
        /// A host by its name.
        Host = "host",
        /// `POST /bewit`.
        Bewit = "bewit",
        /// `PUT /credentials`.
        Credentials = "credentials",
        /// Nothing: it leads nowhere, or is no request.
        None = "none",
    }
}

label! {
    /// How it asks.
    Verb {
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
    /// How it was answered.
    Class {
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
        /// Not at all.
        None = "none",
    }
}

label! {
    /// How it ended.
    Outcome {
        /// The whole answer was sent.
        Complete = "complete",
        /// The answer was cut short: by the upstream, or because the proxy ended.
        Cut = "cut",
        /// The client went away.
        Gone = "gone",
    }
}

label! {
    /// Why a request is sent again.
    Retry {
        /// There was no connection.
        Connect = "connect",
        /// The connection broke before an answer.
        Broken = "broken",
        /// The answer was a 5xx.
        Status = "status",
    }
}

label! {
    /// Why a connection is closed without an answer.
    Rejection {
        /// It is another user's.
        User = "user",
        /// It is of another machine or network namespace, which is not allowed.
        Network = "network",
        /// Whoever had it open has it no more.
        Gone = "gone",
        /// Whose it is cannot be found out.
        Unknown = "unknown",
        /// There was no TLS handshake, where TLS is spoken.
        Tls = "tls",
    }
}

label! {
    /// Where an update of the credentials comes from.
    Source {
        /// `PUT /credentials`.
        Put = "put",
        /// `--credentials-file`.
        File = "file",
    }
}

label! {
    /// What became of an update of the credentials.
    Update {
        /// They are in force.
        Taken = "taken",
        /// They were none.
        Refused = "refused",
    }
}

impl Service {
    /// The service that `/api/<service>/...`, or `/<service>/...` without the `/api`, names.
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

impl Verb {
    /// Of a method.
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

impl Class {
    /// Of a status; 0 is no answer.
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
    /// Of an attempt that another one follows.
    pub fn after(attempted: Attempted) -> Self {
        match attempted {
            Attempted::Answered(_) => Self::Status,
            Attempted::NothingSent => Self::Connect,
            Attempted::Broken | Attempted::Hopeless => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_by_their_names_and_others_are_other() {
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
    fn they_are_numbered_in_their_order() {
        assert!(Service::ALL.iter().enumerate().all(|(at, service)| *service as usize == at));
        assert!(Class::ALL.iter().enumerate().all(|(at, class)| *class as usize == at));
        for (status, class) in
            [(0, "none"), (100, "other"), (204, "2xx"), (404, "4xx"), (599, "5xx")]
        {
            assert_eq!(Class::of(status).as_str(), class);
        }
    }
}
