//! Buffers for expositions, used again: an exposition's size hardly changes from one scrape to the next.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// So many are kept.
const KEPT: usize = 4;

/// A larger one is given back to the system.
const LARGEST: usize = 4 << 20;

#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back when it is dropped.
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    pub(super) fn take(&self) -> Buffer {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: kept.unwrap_or_default(), home: self.clone() }
    }
}

impl Buffer {
    /// As an answer's body, without a copy.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && bytes.capacity() <= LARGEST {
            bytes.clear();
            kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_with_its_room_and_few_are_kept() {
        let buffers = Buffers::default();
        let mut first = buffers.take();
        first.bytes.extend_from_slice(&[7; 10_000]);
        let body = first.into_bytes();
        assert_eq!(buffers.take().bytes.capacity(), 0, "the first is still in use");
        drop(body);
        let again = buffers.take();
        assert!(again.bytes.is_empty() && again.bytes.capacity() >= 10_000);
        let mut many: Vec<Buffer> = (0..2 * KEPT).map(|_| buffers.take()).collect();
        many[0].bytes.reserve(2 * LARGEST);
        drop(many);
        assert_eq!(buffers.0.lock().unwrap().len(), KEPT);
    }
}
