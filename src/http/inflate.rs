//! A body that comes compressed, read a bounded piece at a time: a few bytes may stand for gigabytes.

use flate2::{Decompress, FlushDecompress, Status};

/// The largest piece.
const PIECE: usize = 64 << 10;

/// Unpacks gzip.
pub(super) struct Inflate {
    state: Decompress,
    piece: Vec<u8>,
    ended: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self { state: Decompress::new_gzip(15), piece: Vec::with_capacity(PIECE), ended: false }
    }

    /// The next piece of text; `None` once `packed` is used up, or the stream has ended.
    ///
    /// # Errors
    /// It is no gzip.
    pub(super) fn next(&mut self, packed: &mut &[u8]) -> Result<Option<&[u8]>, &'static str> {
        if self.ended {
            return Ok(None);
        }
        self.piece.clear();
        let before = self.state.total_in();
        let status = self.state.decompress_vec(packed, &mut self.piece, FlushDecompress::None);
        let status = status.map_err(|_| "the body is no gzip, though its `Content-Encoding` says so")?;
        let used = usize::try_from(self.state.total_in() - before).unwrap_or(usize::MAX);
        *packed = packed.get(used..).unwrap_or_default();
        self.ended = status == Status::StreamEnd;
        Ok((!self.piece.is_empty()).then_some(&self.piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_comes_in_bounded_pieces() {
        let bomb = packed(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let (mut inflate, mut total) = (Inflate::new(), 0);
        for chunk in bomb.chunks(1_000) {
            let mut chunk = chunk;
            while let Some(piece) = inflate.next(&mut chunk).unwrap() {
                assert!(piece.len() <= PIECE);
                total += piece.len();
            }
        }
        assert_eq!(total, 64 << 20);
    }

    #[test]
    fn what_is_no_gzip_is_refused() {
        assert!(Inflate::new().next(&mut &b"{\"alerts\":[]}"[..]).is_err());
    }
}
