//! The fields that a bystander cares for, and the static table (RFC 7541, appendix A).

/// A field's name, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `:method`.
    Method,
    /// `:path`.
    Path,
    /// `:status`.
    Status,
    /// `grpc-status`.
    GrpcStatus,
    /// A field that may betray the author of an answer.
    Mark(&'static str),
    /// Any other: neither it nor its value is kept.
    Other,
}

impl Name {
    /// What a name stands for. Names are lower case (RFC 9113, section 8.2.1).
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":status" => Self::Status,
            b"grpc-status" => Self::GrpcStatus,
            b"server" => Self::Mark("server"),
            b"content-type" => Self::Mark("content-type"),
            b"cache-control" => Self::Mark("cache-control"),
            b"content-encoding" => Self::Mark("content-encoding"),
            b"x-powered-by" => Self::Mark("x-powered-by"),
            b"x-runtime" => Self::Mark("x-runtime"),
            b"x-aspnet-version" => Self::Mark("x-aspnet-version"),
            b"x-envoy-upstream-service-time" => Self::Mark("x-envoy-upstream-service-time"),
            _ => Self::Other,
        }
    }
}

/// Name and value of the entries 1 to 61.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
