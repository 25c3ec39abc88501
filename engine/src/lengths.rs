//! Owns the lengths of the records that a frame completes, packed: the rule of rotation needs them,
//! and nothing has to be read for it.

use std::sync::Arc;

/// A record as the rule of rotation sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) payload_bytes: u64,
    pub(crate) boundary: bool,
}

/// The records that a frame completes, packed: mostly two bytes for each. A clone shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lengths(Arc<[u8]>);

impl Lengths {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Length> {
        let mut rest = self.0.iter();
        std::iter::from_fn(move || {
            let (mut value, mut shift) = (0_u64, 0);
            loop {
                let byte = *rest.next()?;
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            Some(Length {
                payload_bytes: value >> 1,
                boundary: value & 1 == 1,
            })
        })
    }
}

/// Packs [`Lengths`].
#[derive(Debug, Default)]
pub(crate) struct LengthsOf(Vec<u8>);

impl LengthsOf {
    pub(crate) fn push(&mut self, record: Length) {
        let mut value = record.payload_bytes << 1 | u64::from(record.boundary);
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(crate) fn finish(&mut self) -> Lengths {
        Lengths(std::mem::take(&mut self.0).into())
    }
}

#[cfg(test)]
mod tests;
