//! Owns the header of a journal file: which generation it is and how its predecessor ended.

use crate::bytes::{DecodeError, Problem, checked, crc};
use crate::chain::{JournalChain, ThreadChain};
use crate::frame::{ALIGN, Position};
use crate::ids::{Generation, Ordinal, StoreId};
use crate::version::Version;

/// First bytes of a journal file.
pub const MAGIC: [u8; 4] = *b"TLJH";
/// Bytes of one header copy.
pub const HEADER_BYTES: usize = 512;
/// Where the two header copies begin; they never share a page. [S:journal-2]
pub const HEADER_OFFSETS: [u64; 2] = [0, 4096];
/// Where the first frame begins.
pub const FRAMES_OFFSET: u64 = 8192;

/// Why a new journal file was begun. [S:journal-4]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The store was created.
    First,
    /// The file before could not take the next frame: it had no room for it, or the frame asks for
    /// a newer reader than its header. [S:version-4]
    Full,
    /// The store was opened; what stood in the file before beyond its end, if anything, was a torn
    /// tail and is void.
    Opened,
    /// A write or sync of the file before failed; what stands beyond its end is void.
    Failed,
}

/// Header of a journal file. [S:journal-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalHeader {
    /// Who wrote it, and the oldest reader that understands it and all frames of the file.
    /// [S:version-4]
    pub version: Version,
    /// The store.
    pub store: StoreId,
    /// This file's generation.
    pub generation: Generation,
    /// Size of the file in bytes, header included; frames never pass it.
    pub capacity: u64,
    /// Ownership epoch of the writer that began the file.
    pub epoch: u64,
    /// All files from this generation on are needed to read the store; older ones are not.
    pub oldest_live: Generation,
    /// Where the frames of the generation before this one end: frames beyond are void, and missing
    /// frames below are damage. Zero for the first file.
    pub previous_end: Position,
    /// The journal chain at `previous_end`.
    pub previous_chain: JournalChain,
    /// Why the file was begun.
    pub begun: Begun,
    /// Catalogue records before this ordinal are in catalogue segments.
    pub catalogue_sealed_end: Ordinal,
    /// The catalogue's thread chain there.
    pub catalogue_chain: ThreadChain,
    /// When the file was begun, Unix milliseconds.
    pub created_ms: i64,
}

impl JournalHeader {
    /// One header copy.
    ///
    /// # Panics
    /// If its places cannot be, see `[S:journal-7]`.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        assert!(
            self.is_possible(),
            "a journal header names places that can be"
        );
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&512_u16.to_le_bytes());
        out.extend_from_slice(&self.version.bytes());
        out.extend_from_slice(&self.store.0);
        out.extend_from_slice(&self.generation.0.to_le_bytes());
        out.extend_from_slice(&self.capacity.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.oldest_live.0.to_le_bytes());
        out.extend_from_slice(&self.previous_end.generation.0.to_le_bytes());
        out.extend_from_slice(&self.previous_end.offset.to_le_bytes());
        out.extend_from_slice(&self.previous_chain.0.to_le_bytes());
        out.extend_from_slice(&[begun_code(self.begun), 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.catalogue_sealed_end.0.to_le_bytes());
        out.extend_from_slice(&self.catalogue_chain.0.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.resize(HEADER_BYTES - 4, 0);
        let check = crc(&[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.try_into()
            .expect("the fields add up to the header's size")
    }

    /// Decodes and checks one header copy.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not one.
    pub fn decode(bytes: &[u8]) -> Result<JournalHeader, DecodeError> {
        let (mut source, _) = checked("journal header", bytes, MAGIC, HEADER_BYTES, &[])?;
        let version = source.preamble(512)?;
        let store = StoreId(source.array()?);
        let generation = Generation(source.u64()?);
        let capacity = source.u64()?;
        let epoch = source.u64()?;
        let oldest_live = Generation(source.u64()?);
        let previous_end = Position {
            generation: Generation(source.u64()?),
            offset: source.u64()?,
        };
        let previous_chain = JournalChain(source.u64()?);
        let code = source.u8()?;
        let Some(begun) = begun_of(code) else {
            return source.fail(Problem::Reserved);
        };
        source.zeros(7)?;
        let catalogue_sealed_end = Ordinal(source.u64()?);
        let catalogue_chain = ThreadChain(source.u64()?);
        let created_ms = source.i64()?;
        source.zeros(HEADER_BYTES - 4 - 112)?;
        let header = JournalHeader {
            version,
            store,
            generation,
            capacity,
            epoch,
            oldest_live,
            previous_end,
            previous_chain,
            begun,
            catalogue_sealed_end,
            catalogue_chain,
            created_ms,
        };
        if header.is_possible() {
            Ok(header)
        } else {
            source.fail(Problem::Length)
        }
    }

    /// Whether the places agree with each other. [S:journal-7]
    fn is_possible(&self) -> bool {
        let previous = self.previous_end;
        let place = if self.begun == Begun::First {
            previous == Position::default() && self.previous_chain.0 == 0
        } else {
            previous.generation.0 > 0
                && previous.generation < self.generation
                && previous.offset >= FRAMES_OFFSET
                && previous.offset.is_multiple_of(ALIGN)
        };
        let live = 1..=self.generation.0;
        place && self.capacity >= FRAMES_OFFSET && live.contains(&self.oldest_live.0)
    }
}

fn begun_code(begun: Begun) -> u8 {
    match begun {
        Begun::First => 0,
        Begun::Full => 1,
        Begun::Opened => 2,
        Begun::Failed => 3,
    }
}

fn begun_of(code: u8) -> Option<Begun> {
    [Begun::First, Begun::Full, Begun::Opened, Begun::Failed]
        .get(usize::from(code))
        .copied()
}

#[cfg(test)]
mod tests;
