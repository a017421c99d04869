//! Frames that are kept in memory, as they came, without a copy.

use bytes::{Bytes, BytesMut};

/// A frame of fewer bytes is copied together with its neighbours once there
/// are [`FEW`]: each frame may hold a whole read buffer in memory.
const SMALL: usize = 4 * 1024;
/// So many frames are kept whatever their size: most bodies have one.
const FEW: usize = 4;

/// Bytes in the order they came.
#[derive(Default)]
pub(super) struct Frames {
    list: Vec<Bytes>,
    /// Small ones, behind all of `list`.
    tail: BytesMut,
    bytes: usize,
}

impl Frames {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        if frame.len() < SMALL && self.list.len() >= FEW {
            self.tail.extend_from_slice(&frame);
            return;
        }
        self.close_tail();
        self.list.push(frame);
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_list(mut self) -> Vec<Bytes> {
        self.close_tail();
        self.list
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.list.push(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_single_bytes_stays_in_order_and_in_few_frames() {
        let mut frames = Frames::default();
        for n in 0..10_000_u32 {
            frames.push(Bytes::copy_from_slice(&[n as u8]));
            if n == 5_000 {
                frames.push(Bytes::from(vec![b'-'; SMALL]));
            }
        }
        assert_eq!(frames.bytes(), 10_000 + SMALL);
        let list = frames.into_list();
        assert_eq!(list.len(), FEW + 3);
        let all: Vec<u8> = list.concat();
        assert_eq!(all[5_000], (5_000 % 256) as u8);
        assert_eq!(all[5_001], b'-');
        assert_eq!(all[5_001 + SMALL], (5_001 % 256) as u8);
    }
}
