//! Asking the kernel about the network by netlink (netlink(7), rtnetlink(7)), in our own network namespace.

use std::collections::HashMap;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::collect::CollectError;

const WHAT: &str = "rtnetlink";

/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `NLM_F_REQUEST | NLM_F_DUMP`: everything of a kind.
const EVERYTHING: u16 = 0x301;

/// `RTM_GETLINK` with its `struct ifinfomsg`, and the attribute that is a link's name.
const GET_LINK: u16 = 18;
const LINK_HEADER: usize = 16;
const IFNAME: u16 = 3;

/// Length, type, flags, sequence number and port.
const HEADER: usize = 16;

/// The kernel's answers come in datagrams of at most 32 KiB.
const DATAGRAM: usize = 64 << 10;

/// No answer is bigger: a full routing table of the internet has some 100 MiB, and is no thing for a scrape.
const LIMIT: usize = 16 << 20;

/// The kernel answers while we ask. If it ever did not, a run must not hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// All messages of an answer, one after the other.
#[derive(Default)]
pub(super) struct Answer(Vec<u8>);

/// Asks for everything of a kind: `kind` is one of `RTM_GET…`, `header` the length of its fixed part.
pub(super) fn dump(kind: u16, header: usize) -> Result<Answer, CollectError> {
    let failed = |error: Errno| CollectError::Io { what: WHAT.to_owned(), source: error.into() };
    // No protocol is the first one: `NETLINK_ROUTE`.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).map_err(failed)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
    send(&socket, &request(kind, header), SendFlags::empty()).map_err(failed)?;
    let (mut answer, mut datagram) = (Answer::default(), vec![0; DATAGRAM]);
    loop {
        let (length, _) = recv(&socket, datagram.as_mut_slice(), RecvFlags::empty()).map_err(failed)?;
        let messages = datagram.get(..length).unwrap_or_default();
        answer.0.extend_from_slice(messages);
        if answer.0.len() > LIMIT {
            return Err(malformed("an answer larger than 16 MiB"));
        }
        for (kind, payload) in Messages(messages) {
            match kind {
                DONE => return Ok(answer),
                ERROR => {
                    let code = number(payload).map_or(0, u32::cast_signed);
                    return Err(failed(Errno::from_raw_os_error(-code)));
                }
                _ => {}
            }
        }
    }
}

fn malformed(why: &str) -> CollectError {
    CollectError::Malformed { what: WHAT.to_owned(), why: why.to_owned() }
}

fn request(kind: u16, header: usize) -> Vec<u8> {
    let length = HEADER + header;
    let mut request = (length as u32).to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(EVERYTHING.to_ne_bytes());
    // Sequence number, port and the fixed part may be 0.
    request.resize(length, 0);
    request
}

impl Answer {
    /// The messages with their types.
    pub(super) fn messages(&self) -> impl Iterator<Item = (u16, &[u8])> {
        Messages(&self.0)
    }
}

/// The names of the links by their numbers.
pub(super) fn links() -> Result<HashMap<u32, String>, CollectError> {
    Ok(names(&dump(GET_LINK, LINK_HEADER)?))
}

fn names(answer: &Answer) -> HashMap<u32, String> {
    let link = |(_, payload): (u16, &[u8])| {
        let (header, attributes) = payload.split_at_checked(LINK_HEADER)?;
        let name = Attributes(attributes).find(|(kind, _)| *kind == IFNAME)?.1;
        Some((number(header.get(4..)?)?, text(name)))
    };
    answer.messages().filter_map(link).collect()
}

/// A text that ends with a zero.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// The number that bytes begin with.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The wide number that bytes begin with.
pub(super) fn wide(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn short(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// Messages one after the other, each aligned to four bytes.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = number(self.0)? as usize;
        let kind = short(self.0.get(4..)?)?;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

/// Attributes one after the other, each aligned to four bytes.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(short(self.0)?);
        // The two highest bits say how the value is written.
        let kind = short(self.0.get(2..)?)? & 0x3fff;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

#[cfg(test)]
pub(super) mod recorded {
    //! Answers as the kernel writes them, for tests of what reads them.

    use super::{Answer, HEADER};

    pub(in super::super) fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub(in super::super) fn answer(messages: &[(u16, Vec<u8>)]) -> Answer {
        let mut bytes = Vec::new();
        for (kind, payload) in messages {
            bytes.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Answer(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::recorded::{answer, attribute};
    use super::*;

    #[test]
    fn the_kernel_tells_of_its_loopback_link() {
        let links = links().unwrap();
        assert!(links.values().any(|name| name == "lo"), "{links:?}");
    }

    #[test]
    fn an_unknown_question_is_an_error_and_not_a_wait() {
        let error = dump(0x3ff0, LINK_HEADER).err().unwrap().to_string();
        assert!(error.starts_with("rtnetlink: "), "{error}");
    }

    #[test]
    fn a_message_that_is_cut_short_ends_the_answer() {
        let mut payload = vec![0, 0, 0, 0];
        payload.extend(7_u32.to_ne_bytes());
        payload.resize(LINK_HEADER, 0);
        payload.extend(attribute(IFNAME, b"eth0\0"));
        let whole = answer(&[(16, payload.clone()), (16, payload)]);
        assert_eq!(names(&whole), HashMap::from([(7, "eth0".to_owned())]));
        assert_eq!(whole.messages().count(), 2);
        for length in 0..whole.0.len() {
            let cut = Answer(whole.0[..length].to_vec());
            assert!(cut.messages().count() < 2, "{length}");
        }
        assert_eq!(Attributes(&[1, 0, 1, 0]).count(), 0, "shorter than its own heading");
    }
}
