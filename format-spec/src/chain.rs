//! Owns the two running checksums, over the records of a thread and over the frames of a journal
//! file; it must not know where their values are stored.

use crate::bytes::crc;
use crate::ids::{Generation, Ordinal, StoreId, ThreadNumber};
use crate::record::{Flags, Kind};

/// Running checksum over the logical records of one thread: the same value in the journal, in a
/// segment, in an import and in an index watermark. [S:chain-1]
///
/// It finds accidents (a record lost, doubled, moved or changed), not attackers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ThreadChain(pub u64);

impl ThreadChain {
    /// The value before a thread's first record.
    pub const START: ThreadChain = ThreadChain(0);

    /// The value after one more record; `payload_crc` is the CRC-32 of its `len` payload bytes.
    #[must_use]
    pub fn after(
        self,
        thread: ThreadNumber,
        ordinal: Ordinal,
        kind: Kind,
        flags: Flags,
        len: u64,
        payload_crc: u32,
    ) -> ThreadChain {
        let high = crc(&[
            &self.0.to_le_bytes(),
            &thread.0.to_le_bytes(),
            &ordinal.0.to_le_bytes(),
            &[kind.0, flags.bits(), 0, 0],
            &len.to_le_bytes(),
            &payload_crc.to_le_bytes(),
        ]);
        ThreadChain(u64::from(high) << 32 | u64::from(payload_crc))
    }
}

/// Running checksum over the frames of one journal file; never leaves the journal. [S:chain-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalChain(pub u64);

impl JournalChain {
    /// The value before the first frame of a file, bound to the store and the file's generation.
    #[must_use]
    pub fn start(store: StoreId, generation: Generation) -> JournalChain {
        let number = generation.0.to_le_bytes();
        let high = crc(&[&store.0, &number]);
        JournalChain(u64::from(high) << 32 | u64::from(crc(&[&number, &store.0])))
    }

    /// The value after one more frame.
    #[must_use]
    pub fn after(self, header_crc: u32, body_crc: u32) -> JournalChain {
        let high = crc(&[
            &self.0.to_le_bytes(),
            &header_crc.to_le_bytes(),
            &body_crc.to_le_bytes(),
        ]);
        JournalChain(u64::from(high) << 32 | u64::from(header_crc))
    }
}

#[cfg(test)]
mod tests;
