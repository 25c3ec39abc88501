//! Owns a second reader of the format's pieces, written from SPEC.md with plain offsets: slow, and
//! without the code that it is compared with.

/// An entry as it stands in a frame body or a block. [S:record-1]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) at_ms: i64,
    /// Bytes of the record before this piece.
    pub(super) offset: u64,
    /// CRC-32 of the whole record, when the piece completes it.
    pub(super) whole: Option<u32>,
    pub(super) bytes: Vec<u8>,
}

impl Piece {
    /// The thread chain after the record that this piece completes. [S:chain-1]
    pub(super) fn chain(&self, before: u64, thread: u64, ordinal: u64, crc: u32) -> u64 {
        let mut covered = Vec::new();
        for number in [before, thread, ordinal] {
            covered.extend_from_slice(&number.to_le_bytes());
        }
        covered.extend_from_slice(&[self.kind, self.flags, 0, 0]);
        let len = self.offset + self.bytes.len() as u64;
        covered.extend_from_slice(&len.to_le_bytes());
        covered.extend_from_slice(&crc.to_le_bytes());
        u64::from(crc_of(&[&covered])) << 32 | u64::from(crc)
    }
}

const MIB: usize = 1 << 20;

pub(super) fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*field))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*field))
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether the last 4 of `len` bytes are the checksum over seed and bytes. [S:layout-6]
pub(super) fn is_sealed(bytes: &[u8], len: usize, seed: &[u8]) -> bool {
    let (Some(covered), stored) = (bytes.get(..len - 4), u32_at(bytes, len - 4)) else {
        return false;
    };
    stored == Some(crc_of(&[seed, covered]))
}

/// Makes it so.
pub(super) fn seal(bytes: &mut [u8], len: usize, seed: &[u8]) {
    if let Some(header) = bytes.get_mut(..len) {
        let check = crc_of(&[seed, &header[..len - 4]]);
        header[len - 4..].copy_from_slice(&check.to_le_bytes());
    }
}

/// What stands before the payload of an entry: its length in bytes, whether it is a chunk, and the
/// length of the payload.
fn entry_head(bytes: &[u8]) -> Option<(usize, bool, usize)> {
    let head = bytes.get(..20)?;
    let payload = usize::try_from(u32_at(head, 4)?).ok()?;
    match head[2] {
        0 => Some((20, false, payload)),
        1 if bytes.len() >= 36 => Some((36, true, payload)),
        _ => None,
    }
}

/// `count` entries that fill the bytes; `None` when they do not.
pub(super) fn entries(bytes: &[u8], count: u32) -> Option<Vec<Piece>> {
    let (pieces, fill) = entries_before_a_bad_one(bytes, count);
    fill.then_some(pieces)
}

/// The entries up to the first bad one, and whether there is none and they fill the bytes.
pub(super) fn entries_before_a_bad_one(bytes: &[u8], count: u32) -> (Vec<Piece>, bool) {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for _ in 0..count {
        let Some((piece, behind)) = entry(rest) else {
            return (pieces, false);
        };
        pieces.push(piece);
        rest = behind;
    }
    (pieces, rest.is_empty())
}

fn entry(bytes: &[u8]) -> Option<(Piece, &[u8])> {
    let (head_len, is_chunk, len) = entry_head(bytes)?;
    let (head, behind) = bytes.split_at(head_len);
    if head[1] > 7 || head[3] != 0 || len > MIB {
        return None;
    }
    let (payload, behind) = behind.split_at_checked(len)?;
    let crc = u32_at(head, 16)?;
    if crc_of(&[payload]) != crc {
        return None;
    }
    let (offset, whole) = if is_chunk {
        chunk(head, len)?
    } else {
        (0, Some(crc))
    };
    let piece = Piece {
        kind: head[0],
        flags: head[1],
        at_ms: u64_at(head, 8)?.cast_signed(),
        offset,
        whole,
        bytes: payload.to_vec(),
    };
    Some((piece, behind))
}

/// Where a chunk stands in its record. [S:record-4] [S:record-5]
fn chunk(head: &[u8], len: usize) -> Option<(u64, Option<u32>)> {
    let (offset, crc, last) = (u64_at(head, 20)?, u32_at(head, 28)?, head[32]);
    let aligned = offset.is_multiple_of(MIB as u64) && offset < 1 << 63;
    if !aligned || !is_zero(&head[33..36]) {
        return None;
    }
    match last {
        0 if crc == 0 && len == MIB => Some((offset, None)),
        1 if offset > 0 && (1..=MIB).contains(&len) => Some((offset, Some(crc))),
        _ => None,
    }
}

/// Makes the checksums of entries right, as far as their lengths lead.
pub(super) fn repair_entries(bytes: &mut [u8], count: u32) {
    let mut at = 0;
    for _ in 0..count {
        let Some((head_len, _, len)) = entry_head(&bytes[at..]) else {
            return;
        };
        let begin = at + head_len;
        let Some(payload) = bytes.get(begin..begin.saturating_add(len)) else {
            return;
        };
        let check = crc_of(&[payload]);
        bytes[at + 16..at + 20].copy_from_slice(&check.to_le_bytes());
        at = begin + len;
    }
}

/// Goes along the entries of a thread and says which ordinal each belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) thread: u64,
    /// Of the next entry.
    pub(super) ordinal: u64,
    pub(super) chain: u64,
    /// What the next chunk of an unfinished record must be: offset, kind, boundary, checksum.
    /// so far.
    open: Option<(u64, u8, bool, u32)>,
}

impl Walk {
    pub(super) fn new(thread: u64, ordinal: u64, chain: u64) -> Walk {
        Walk {
            thread,
            ordinal,
            chain,
            open: None,
        }
    }

    /// Whether a record is unfinished.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Gives the unfinished record up. [S:record-7]
    pub(super) fn void(&mut self) {
        self.open = None;
    }

    /// Passes a piece; `None` when it cannot stand here.
    pub(super) fn pass(&mut self, piece: &Piece) -> Option<()> {
        let boundary = piece.flags & 1 != 0;
        let crc = match self.open {
            None if piece.offset == 0 => crc_of(&[&piece.bytes]),
            Some((offset, kind, edge, crc)) => {
                let same = (offset, kind, edge) == (piece.offset, piece.kind, boundary);
                let mut hasher = crc32fast::Hasher::new_with_initial_len(crc, offset);
                hasher.update(&piece.bytes);
                same.then(|| hasher.finalize())?
            }
            None => return None,
        };
        let end = piece.offset + piece.bytes.len() as u64;
        match piece.whole {
            None => self.open = Some((end, piece.kind, boundary, crc)),
            Some(whole) if whole == crc => {
                self.chain = piece.chain(self.chain, self.thread, self.ordinal, crc);
                self.ordinal = self.ordinal.checked_add(1)?;
                self.open = None;
            }
            Some(_) => return None,
        }
        Some(())
    }
}
