//! Owns the repair of checksums in a changed file, so that a mutation is judged by what it says and
//! not only by its checksum.

use super::journal_naive::{FRAMES, chain_after, chain_start};
use super::naive::{crc_of, repair_entries, seal, u32_at, u64_at};

/// Makes all checksums of a segment file right, as far as its lengths lead.
pub(super) fn segment(file: &mut [u8]) {
    let Some(trailer_at) = file.len().checked_sub(96) else {
        return;
    };
    let identity = file.get(8..32).map(<[u8]>::to_vec).unwrap_or_default();
    seal(file, 128, &[]);
    let mut at = 128;
    while at + 64 <= file.len() {
        let stored = u32_at(file, at + 40).unwrap_or(0) as usize;
        let end = (at + 64).saturating_add(stored);
        if !file[at..].starts_with(b"TLBK") || end > file.len() {
            at += 1;
            continue;
        }
        if file[at + 4] == 0 {
            let count = u32_at(file, at + 32).unwrap_or(0);
            repair_entries(&mut file[at + 64..end], count);
        }
        let check = crc_of(&[&file[at + 64..end]]);
        file[at + 44..at + 48].copy_from_slice(&check.to_le_bytes());
        seal(&mut file[at..], 64, &identity);
        at = end;
    }
    let footer = u64_at(file, trailer_at + 32).and_then(|at| usize::try_from(at).ok());
    let footer = footer.and_then(|begin| file.get(begin..trailer_at));
    if let Some(footer) = footer {
        let check = crc_of(&[footer]);
        file[trailer_at + 48..trailer_at + 52].copy_from_slice(&check.to_le_bytes());
    }
    let digest = blake3::hash(&file[..trailer_at]);
    file[trailer_at + 56..trailer_at + 88].copy_from_slice(digest.as_bytes());
    seal(&mut file[trailer_at..], 96, &[]);
}

/// Makes both copies of the header and all frames of a journal file right, with their chain along
/// the file.
pub(super) fn journal(file: &mut [u8]) {
    seal(file, 512, &[]);
    if let Some(second) = file.get_mut(4096..) {
        seal(second, 512, &[]);
    }
    let store = file
        .get(8..24)
        .and_then(|id| id.first_chunk::<16>().copied());
    let (Some(store), Some(generation)) = (store, u64_at(file, 24)) else {
        return;
    };
    let mut chain = chain_start(store, generation);
    let mut at = FRAMES;
    while at + 96 <= file.len() && file[at..].starts_with(b"TLFR") {
        let body_len = u32_at(file, at + 44).unwrap_or(0) as usize;
        let end = (at + 96).saturating_add(body_len);
        let Some(body) = file.get_mut(at + 96..end) else {
            return;
        };
        repair_entries(body, 4096);
        let body = crc_of(&[body]);
        file[at + 72..at + 80].copy_from_slice(&chain.to_le_bytes());
        file[at + 88..at + 92].copy_from_slice(&body.to_le_bytes());
        seal(&mut file[at..], 96, &store);
        let header = u32_at(file, at + 92).unwrap_or(0);
        chain = chain_after(chain, header, body);
        at = end.next_multiple_of(8);
    }
}
