//! The families that a probe writes, by the original's names.

use crate::metrics::Desc;

pub(super) static SUCCESS: Desc = Desc::gauge("probe_success", "Displays whether or not the probe was a success", &[]);
pub(super) static DURATION: Desc =
    Desc::gauge("probe_duration_seconds", "Returns how long the probe took to complete in seconds", &[]);
pub(super) static LOOKUP: Desc =
    Desc::gauge("probe_dns_lookup_time_seconds", "Returns the time taken for probe dns lookup in seconds", &[]);
pub(super) static IP_PROTOCOL: Desc =
    Desc::gauge("probe_ip_protocol", "Specifies whether probe ip protocol is IP4 or IP6", &[]);
pub(super) static IP_HASH: Desc = Desc::gauge(
    "probe_ip_addr_hash",
    "Specifies the hash of IP address. It's useful to detect if the IP address changes.",
    &[],
);
pub(super) static FAILED_REGEX: Desc =
    Desc::gauge("probe_failed_due_to_regex", "Indicates if probe failed due to regex", &[]);
pub(super) static FAILED_BYTES: Desc =
    Desc::gauge("probe_failed_due_to_bytes", "Indicates if probe failed due to bytes", &[]);
pub(super) static FAILED_CEL: Desc = Desc::gauge(
    "probe_failed_due_to_cel",
    "Indicates if probe failed due to a CEL expression: always, for tidewatch evaluates none",
    &[],
);
pub(super) static FAILED_JSON: Desc = Desc::gauge(
    "probe_failed_due_to_json",
    "Indicates if probe failed because the JSON body did not hold what it should (a family of tidewatch)",
    &[],
);

pub(super) static HTTP_DURATION: Desc = Desc::gauge(
    "probe_http_duration_seconds",
    "Duration of http request by phase, summed over all redirects",
    &["phase"],
);
pub(super) static HTTP_LENGTH: Desc = Desc::gauge("probe_http_content_length", "Length of http content response", &[]);
pub(super) static HTTP_BODY: Desc =
    Desc::gauge("probe_http_uncompressed_body_length", "Length of uncompressed response body", &[]);
pub(super) static HTTP_REDIRECTS: Desc = Desc::gauge("probe_http_redirects", "The number of redirects", &[]);
pub(super) static HTTP_SSL: Desc =
    Desc::gauge("probe_http_ssl", "Indicates if SSL was used for the final redirect", &[]);
pub(super) static HTTP_STATUS: Desc = Desc::gauge("probe_http_status_code", "Response HTTP status code", &[]);
pub(super) static HTTP_VERSION: Desc =
    Desc::gauge("probe_http_version", "Returns the version of HTTP of the probe response", &[]);
pub(super) static HTTP_MODIFIED: Desc = Desc::gauge(
    "probe_http_last_modified_timestamp_seconds",
    "Returns the Last-Modified HTTP response header in unixtime",
    &[],
);

pub(super) static TLS_EXPIRY: Desc =
    Desc::gauge("probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", &[]);
pub(super) static TLS_CHAIN_EXPIRY: Desc =
    Desc::gauge("probe_ssl_last_chain_expiry_timestamp_seconds", "Returns last SSL chain expiry in timestamp", &[]);
pub(super) static TLS_CHAIN: Desc = Desc::gauge(
    "probe_ssl_last_chain_info",
    "Contains SSL leaf certificate information",
    &["fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"],
);
pub(super) static TLS_VERSION: Desc =
    Desc::gauge("probe_tls_version_info", "Returns the TLS version used or NaN when unknown", &["version"]);
pub(super) static TLS_CIPHER: Desc =
    Desc::gauge("probe_tls_cipher_info", "Returns the TLS cipher negotiated during handshake", &["cipher"]);

/// Its labels come from the module.
pub(super) static EXPECT: Desc = Desc::gauge("probe_expect_info", "Explicit content matched", &[]);

pub(super) static DNS_DURATION: Desc =
    Desc::gauge("probe_dns_duration_seconds", "Duration of DNS request by phase", &["phase"]);
pub(super) static DNS_ANSWER: Desc =
    Desc::gauge("probe_dns_answer_rrs", "Returns number of entries in the answer resource record list", &[]);
pub(super) static DNS_AUTHORITY: Desc =
    Desc::gauge("probe_dns_authority_rrs", "Returns number of entries in the authority resource record list", &[]);
pub(super) static DNS_ADDITIONAL: Desc =
    Desc::gauge("probe_dns_additional_rrs", "Returns number of entries in the additional resource record list", &[]);
pub(super) static DNS_SUCCEEDED: Desc =
    Desc::gauge("probe_dns_query_succeeded", "Displays whether or not the query was executed successfully", &[]);
pub(super) static DNS_SERIAL: Desc = Desc::gauge("probe_dns_serial", "Returns the serial number of the zone", &[]);

pub(super) static ICMP_DURATION: Desc =
    Desc::gauge("probe_icmp_duration_seconds", "Duration of icmp request by phase", &["phase"]);
pub(super) static ICMP_HOPS: Desc =
    Desc::gauge("probe_icmp_reply_hop_limit", "Replied packet hop limit (TTL for ipv4)", &[]);

pub(super) static GRPC_DURATION: Desc =
    Desc::gauge("probe_grpc_duration_seconds", "Duration of gRPC request by phase", &["phase"]);
pub(super) static GRPC_SSL: Desc = Desc::gauge("probe_grpc_ssl", "Indicates if SSL was used for the connection", &[]);
pub(super) static GRPC_STATUS: Desc = Desc::gauge("probe_grpc_status_code", "Response gRPC status code", &[]);
pub(super) static GRPC_HEALTH: Desc =
    Desc::gauge("probe_grpc_healthcheck_response", "Response HealthCheck response", &["serving_status"]);

/// All of them.
pub(super) const ALL: &[&Desc] = &[
    &SUCCESS,
    &DURATION,
    &LOOKUP,
    &IP_PROTOCOL,
    &IP_HASH,
    &FAILED_REGEX,
    &FAILED_BYTES,
    &FAILED_CEL,
    &FAILED_JSON,
    &HTTP_DURATION,
    &HTTP_LENGTH,
    &HTTP_BODY,
    &HTTP_REDIRECTS,
    &HTTP_SSL,
    &HTTP_STATUS,
    &HTTP_VERSION,
    &HTTP_MODIFIED,
    &TLS_EXPIRY,
    &TLS_CHAIN_EXPIRY,
    &TLS_CHAIN,
    &TLS_VERSION,
    &TLS_CIPHER,
    &EXPECT,
    &DNS_DURATION,
    &DNS_ANSWER,
    &DNS_AUTHORITY,
    &DNS_ADDITIONAL,
    &DNS_SUCCEEDED,
    &DNS_SERIAL,
    &ICMP_DURATION,
    &ICMP_HOPS,
    &GRPC_DURATION,
    &GRPC_SSL,
    &GRPC_STATUS,
    &GRPC_HEALTH,
];
