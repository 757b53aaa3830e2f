//! Probing a TCP port: connecting, TLS, and a conversation in lines.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::Around;
use super::found::{self, Found};
use super::module::{Exchange, Tcp};
use super::resolve::{self, words};
use super::secure::Speaks;
use super::wire::Stream;

/// A longer line is no line.
const LINE: usize = 64 << 10;

/// A server that says more before what is expected of it is not listened to.
const SAID: usize = 1 << 20;

/// So many labels of a module reach a series.
const LABELS: usize = 16;

pub(super) async fn probe(
    around: &Around<'_>,
    options: &Tcp,
    target: &str,
    found: &mut Found,
    tcp: &mut found::Tcp,
) -> Result<(), String> {
    let (host, port) = resolve::split(target).ok_or("the target is no host with a port")?;
    let port = port.ok_or("the target has no port")?;
    let ip = resolve::address(host, options.preferred_ip_protocol, options.ip_protocol_fallback, found).await?;
    let stream = resolve::connect(SocketAddr::new(ip, port), options.source_ip_address, found).await?;
    let name = around.hostname.unwrap_or(host);
    let mut stream: Box<dyn Stream> = Box::new(stream);
    if options.tls {
        stream = Box::new(around.tls.secure(stream, name, &options.tls_config, Speaks::Unsaid, found).await?);
    }
    let mut stream = BufReader::new(stream);
    let mut said = 0;
    for exchange in &options.query_response {
        step(exchange, &mut stream, &mut said, found, tcp).await?;
        if exchange.starttls {
            if !stream.buffer().is_empty() {
                // What stands there was said in the clear, and would be taken for something said over TLS.
                return Err("the server said more in the clear before TLS began".into());
            }
            let secure = around.tls.secure(stream.into_inner(), name, &options.tls_config, Speaks::Unsaid, found);
            stream = BufReader::new(Box::new(secure.await?));
        }
    }
    Ok(())
}

async fn step(
    exchange: &Exchange,
    stream: &mut BufReader<Box<dyn Stream>>,
    said: &mut usize,
    found: &mut Found,
    tcp: &mut found::Tcp,
) -> Result<(), String> {
    let mut send = exchange.send.as_ref().map(|send| send.expose().to_owned()).unwrap_or_default();
    if let Some(expect) = &exchange.expect {
        found.stage = "waiting for an expected line";
        // As long as no line matches, it is the expression that fails.
        tcp.failed_regex = true;
        loop {
            let Some(line) = line(stream, said).await? else {
                return Err(format!("no line matches {expect:?} before the other side closed"));
            };
            let Some(captures) = expect.captures(&line) else { continue };
            let expand = |template: &str| {
                let mut expanded = String::new();
                captures.expand(template, &mut expanded);
                expanded
            };
            send = expand(&send);
            if !exchange.labels.is_empty() {
                let labels = exchange.labels.iter().take(LABELS);
                found.expected.push(labels.map(|label| (label.name.clone(), expand(&label.value))).collect());
            }
            break;
        }
        tcp.failed_regex = false;
        found.transcript.say(|| format!("a line matches {expect:?}"));
    }
    if !exchange.expect_bytes.is_empty() {
        found.stage = "waiting for expected bytes";
        tcp.failed_bytes = true;
        let mut bytes = vec![0; exchange.expect_bytes.len()];
        stream.read_exact(&mut bytes).await.map_err(|error| format!("reading: {}", words(&error)))?;
        if bytes != exchange.expect_bytes.as_bytes() {
            return Err("the bytes are not those that are expected".into());
        }
        tcp.failed_bytes = false;
    }
    if !send.is_empty() {
        found.stage = "writing";
        send.push('\n');
        let written = async {
            stream.write_all(send.as_bytes()).await?;
            stream.flush().await
        };
        written.await.map_err(|error| format!("writing: {}", words(&error)))?;
        found.transcript.say(|| format!("sent a line of {} bytes", send.len()));
    }
    Ok(())
}

/// The next line without its end; the rest where the other side closes; `None` when there is nothing more.
async fn line(stream: &mut BufReader<Box<dyn Stream>>, said: &mut usize) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    loop {
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && line.is_empty() => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(format!("reading: {}", words(&error))),
        };
        *said += 1;
        if *said > SAID || line.len() >= LINE {
            return Err("the server says more than a probe reads".into());
        }
        if byte == b'\n' {
            break;
        }
        line.push(byte);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}
