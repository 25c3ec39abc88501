//! Owns the notes of a run: what each of its records decodes to, so that an index can be rebuilt
//! without reading the records again. It must not know where notes are kept.
//!
//! Notes are a pure function of the records and of this build's decoder: notes of another
//! [`PROJECTION_VERSION`] are no notes, and then the records are decoded.

use crate::codec;
use crate::index::PROJECTION_VERSION;
use crate::payload::Decoded;

/// Bytes before the records: version of the projection, number of records.
const HEAD_BYTES: usize = 12;

/// Gathers the notes of one run.
#[derive(Debug, Default)]
pub struct Notes {
    bytes: Vec<u8>,
    records: u64,
}

impl Notes {
    /// Adds the next record of the run.
    pub fn push(&mut self, decoded: &Decoded<'_>) {
        codec::append(decoded, &mut self.bytes);
        self.records += 1;
    }

    /// The notes' bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.bytes.len());
        out.extend_from_slice(&PROJECTION_VERSION.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }
}

/// Reads notes record by record.
#[derive(Debug)]
pub struct NotesReader<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> NotesReader<'a> {
    /// Notes of a run of `records` records; `None` when they are of another version or another
    /// length.
    #[must_use]
    pub fn open(notes: &'a [u8], records: u64) -> Option<NotesReader<'a>> {
        let (head, rest) = notes.split_at_checked(HEAD_BYTES)?;
        let (version, count) = head.split_at(4);
        let matches = version == PROJECTION_VERSION.to_le_bytes() && count == records.to_le_bytes();
        matches.then_some(NotesReader {
            rest,
            left: records,
        })
    }

    /// What the next record decodes to; `None` at the end, or when the bytes are none.
    pub fn next_record(&mut self) -> Option<Decoded<'a>> {
        self.left = self.left.checked_sub(1)?;
        codec::take(&mut self.rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Notes, NotesReader};
    use crate::payload::decode;

    #[test]
    fn what_a_record_decodes_to_comes_back() {
        let lines: [&[u8]; 5] = [
            br#"{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{"type":"user_message","message":"a \"b\"","local_images":[],"text_elements":[]}}"#,
            br#"{"timestamp":"2026-01-01T00:00:00Z","ordinal":4,"type":"event_msg","payload":{"type":"task_started","turn_id":"t","model_context_window":null}}"#,
            b"",
            b"nonsense",
            br#"{"timestamp":"x","type":"compacted","payload":{"message":"m","replacement_history":[],"window_number":1}}"#,
        ];
        let mut notes = Notes::default();
        lines.iter().for_each(|line| notes.push(&decode(line)));
        let bytes = notes.finish();
        assert!(
            NotesReader::open(&bytes, 4).is_none(),
            "another number of records"
        );
        let mut reader = NotesReader::open(&bytes, 5).unwrap();
        for line in lines {
            assert_eq!(reader.next_record(), Some(decode(line)));
        }
        assert_eq!(reader.next_record(), None);
        for cut in 0..bytes.len() {
            if let Some(mut reader) = NotesReader::open(&bytes[..cut], 5) {
                while reader.next_record().is_some() {}
            }
        }
    }
}
