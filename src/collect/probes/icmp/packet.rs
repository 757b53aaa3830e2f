//! Echo requests and replies as bytes.

use std::net::IpAddr;

/// Type numbers: of the request, of the reply.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

fn types(ip: IpAddr) -> (u8, u8) {
    if ip.is_ipv4() { ECHO_V4 } else { ECHO_V6 }
}

/// An echo request to `ip`. The kernel computes the checksum of IPv6, which covers addresses.
pub(super) fn request(ip: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![types(ip).0, 0, 0, 0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(payload);
    if ip.is_ipv4() {
        let sum = checksum(&bytes).to_be_bytes();
        bytes.splice(2..4, sum);
    }
    bytes
}

/// With a header of IPv4 that forbids fragments. The kernel fills in what is zero: length, checksum, source.
pub(super) fn with_header(ip: IpAddr, ttl: u8, request: &[u8]) -> Vec<u8> {
    let IpAddr::V4(to) = ip else { return request.to_vec() };
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, ttl, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&to.octets());
    bytes.extend_from_slice(request);
    bytes
}

/// Whether `datagram` is the reply. A raw socket of IPv4 gives it with its header.
pub(super) fn is_reply(ip: IpAddr, raw: bool, datagram: &[u8], id: Option<u16>, sequence: u16, payload: &[u8]) -> bool {
    let ours = || {
        let message = if raw && ip.is_ipv4() {
            let words = usize::from(datagram.first()? & 0x0f);
            datagram.get(words * 4..)?
        } else {
            datagram
        };
        let field = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let ours = *message.first()? == types(ip).1
            && id.is_none_or(|id| field(4) == Some(id))
            && field(6) == Some(sequence)
            && message.get(8..)? == payload;
        Some(ours)
    };
    ours().unwrap_or(false)
}

/// The internet's checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&request(LOCAL, 7, 9, b"odd")), 0, "a message with its sum sums to nothing");
    }

    #[test]
    fn only_our_own_reply_is_taken() {
        let header = [0x45; 20];
        let mut message = request(LOCAL, 7, 9, b"payload");
        let taken = |message: &[u8], id| is_reply(LOCAL, true, &[&header, message].concat(), id, 9, b"payload");
        assert!(!taken(&message, Some(7)), "the request itself");
        message[0] = 0;
        assert!(taken(&message, Some(7)));
        assert!(!taken(&message, Some(8)), "another's");
        assert!(!taken(&message[..12], Some(7)), "cut off");
        assert!(is_reply(LOCAL, false, &message, None, 9, b"payload"));
        assert!(!is_reply(LOCAL, true, &[], None, 9, b""));
    }
}
