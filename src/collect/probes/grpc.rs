//! Probing by gRPC's health service (grpc.health.v1), its messages written by hand: a string, and a number.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::Full;
use tokio::time::Instant;

use super::Around;
use super::found::{self, Found, SERVING};
use super::module::Grpc;
use super::resolve;
use super::secure::Speaks;
use super::wire::{self, Stream};

/// Codes of gRPC that are told where no server said one.
const DEADLINE_EXCEEDED: u32 = 4;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

/// A longer answer is none of a health service.
const LONGEST: usize = 4 << 10;

pub(super) async fn probe(
    around: &Around<'_>,
    options: &Grpc,
    target: &str,
    found: &mut Found,
    grpc: &mut found::Grpc,
) -> Result<(), String> {
    let target = target.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
    let (host, port) = resolve::split(target).ok_or("the target is no host with a port")?;
    let port = port.unwrap_or(if options.tls { 443 } else { 80 });
    let ip = resolve::address(host, options.preferred_ip_protocol, options.ip_protocol_fallback, found).await?;
    let begun = Instant::now();
    // A probe that is cut off leaves what it was: a deadline that passed.
    grpc.check = Some(0.0);
    grpc.status = DEADLINE_EXCEEDED;
    let outcome = check(around, options, host, SocketAddr::new(ip, port), found, grpc).await;
    grpc.check = Some(begun.elapsed().as_secs_f64());
    outcome
}

async fn check(
    around: &Around<'_>,
    options: &Grpc,
    host: &str,
    server: SocketAddr,
    found: &mut Found,
    grpc: &mut found::Grpc,
) -> Result<(), String> {
    let mut stream: Box<dyn Stream> =
        Box::new(resolve::connect(server, None, found).await.inspect_err(|_| grpc.status = UNAVAILABLE)?);
    if options.tls {
        let secure = around.tls.secure(stream, host, &options.tls_config, Speaks::Http2, found).await;
        stream = Box::new(secure.inspect_err(|_| grpc.status = UNAVAILABLE)?);
        grpc.ssl = true;
    }
    found.stage = "waiting for the answer";
    let request = request(options, host, server.port())?;
    let mut answer = wire::exchange(stream, true, request).await.inspect_err(|_| grpc.status = UNAVAILABLE)?;
    let mut message = BytesMut::new();
    while let Some(piece) = answer.chunk().await.inspect_err(|_| grpc.status = INTERNAL)? {
        if message.len() + piece.len() > LONGEST {
            grpc.status = INTERNAL;
            return Err("the answer is too long for a health service's".into());
        }
        message.extend_from_slice(&piece);
    }
    let status = code(&answer.head.headers).or_else(|| answer.trailers.as_ref().and_then(code));
    grpc.status = status.unwrap_or(INTERNAL);
    found.transcript.say(|| format!("answered with the code {}", grpc.status));
    match status {
        Some(0) => {}
        Some(status) => return Err(format!("the server answered with the gRPC code {status}")),
        None => return Err("the server speaks no gRPC".into()),
    }
    grpc.serving = serving(&message);
    match grpc.serving {
        Some("SERVING") => Ok(()),
        Some(other) => Err(format!("the service is {other}")),
        None => Err("the answer is none of a health service".into()),
    }
}

fn request(options: &Grpc, host: &str, port: u16) -> Result<Request<Full<Bytes>>, String> {
    let scheme = if options.tls { "https" } else { "http" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let uri = format!("{scheme}://{host}:{port}/grpc.health.v1.Health/Check");
    let mut request = Request::new(Full::new(question(&options.service)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.parse().map_err(|_| "the target is no host that a request can name")?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("tidewatch/", env!("CARGO_PKG_VERSION"))));
    for (name, values) in &options.metadata {
        let name: HeaderName = name.parse().map_err(|_| "a key of the module's metadata is none")?;
        for value in values {
            let value =
                HeaderValue::from_str(value.expose()).map_err(|_| "a value of the module's metadata is none")?;
            headers.append(name.clone(), value);
        }
    }
    Ok(request)
}

/// `HealthCheckRequest { string service = 1; }` in its frame: not compressed, and its length.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    frame.freeze()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`: a number below 128, or nothing for 0.
fn serving(frame: &[u8]) -> Option<&'static str> {
    let (head, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let number = match message {
        [] => 0,
        [0x08, number] => usize::from(*number),
        _ => return None,
    };
    (head[0] == 0 && length as usize == message.len()).then(|| SERVING.get(number).copied()).flatten()
}

fn code(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_framed_protobuf() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn an_answer_is_one_of_four_states() {
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some("SERVING"));
        assert_eq!(serving(&[0, 0, 0, 0, 0]), Some("UNKNOWN"));
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 2]), Some("NOT_SERVING"));
        for wrong in [&[0, 0, 0, 0, 2, 8, 9][..], &[0, 0, 0, 0, 3, 8, 1], &[1, 0, 0, 0, 2, 8, 1], &[], b"<html>"] {
            assert_eq!(serving(wrong), None, "{wrong:?}");
        }
    }
}
