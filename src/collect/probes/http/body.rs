//! Reading the answer's body, all of it and within bounds.

use std::io::Read;

use bytes::BytesMut;

use crate::collect::probes::module::Http;
use crate::collect::probes::wire::Answer;

/// More of a body is not read, unless the module says another limit.
const LONGEST: u64 = 32 << 20;

/// As much of it is kept where the module looks at it: expressions cost time with its length.
const KEPT: usize = 1 << 20;

/// A compressed body is kept whole until it is unpacked.
const PACKED: u64 = 4 << 20;

/// What was read.
pub(super) struct Body {
    /// Bytes, unpacked.
    pub(super) length: u64,
    /// Its beginning, where the module looks at it.
    pub(super) kept: Vec<u8>,
    /// Whether `kept` is all of it.
    pub(super) whole: bool,
}

/// Reads it. What is read even of a body that breaks off is told by the number that `length` then has.
pub(super) async fn read(
    answer: &mut Answer,
    options: &Http,
    looked_at: bool,
    length: &mut u64,
) -> Result<Body, String> {
    let limit = options.body_size_limit.map(|size| size.0).filter(|size| *size > 0).unwrap_or(LONGEST);
    let packed = matches!(options.compression.as_str(), "gzip" | "deflate");
    let (limit_read, keep) = match (packed, looked_at) {
        (true, _) => (limit.min(PACKED), PACKED as usize),
        (false, true) => (limit, KEPT),
        (false, false) => (limit, 0),
    };
    let mut kept = BytesMut::new();
    let mut read = 0_u64;
    while let Some(piece) = answer.chunk().await.map_err(|error| format!("the body broke off: {error}"))? {
        read += piece.len() as u64;
        *length = read;
        if read > limit_read {
            return Err(format!("the body is longer than {limit_read} bytes"));
        }
        let room = keep.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..room).unwrap_or(&piece));
    }
    if !packed {
        let whole = kept.len() as u64 == read;
        return Ok(Body { length: read, kept: kept.into(), whole });
    }
    let unpacked = unpack(&kept, options.compression == "gzip", limit)?;
    *length = unpacked.length;
    Ok(unpacked)
}

/// A small body may unpack to a huge one: it is counted, and only its beginning kept.
fn unpack(packed: &[u8], gzip: bool, limit: u64) -> Result<Body, String> {
    let mut reader: Box<dyn Read> = if gzip {
        Box::new(flate2::read::GzDecoder::new(packed))
    } else {
        Box::new(flate2::read::DeflateDecoder::new(packed))
    };
    let (mut kept, mut length, mut buffer) = (Vec::new(), 0_u64, vec![0; 64 << 10]);
    loop {
        let read = reader.read(&mut buffer).map_err(|_| "the body does not unpack as `compression` says".to_owned())?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        length += read as u64;
        if length > limit {
            return Err(format!("the body is longer than {limit} bytes when unpacked"));
        }
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
    Ok(Body { length, whole: kept.len() as u64 == length, kept })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn a_packed_body_is_counted_whole_and_kept_in_part() {
        let body = unpack(&gzip(&vec![b'x'; KEPT + 5]), true, LONGEST).unwrap();
        assert_eq!((body.length, body.kept.len(), body.whole), (KEPT as u64 + 5, KEPT, false));
        assert!(unpack(&gzip(b"hello"), true, LONGEST).unwrap().whole);
    }

    #[test]
    fn a_bomb_and_a_broken_body_are_errors() {
        assert!(unpack(&gzip(&vec![0; 100_000]), true, 50_000).is_err());
        assert!(unpack(b"no gzip", true, LONGEST).is_err());
    }
}
