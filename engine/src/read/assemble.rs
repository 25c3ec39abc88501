//! Owns the joining of chunks to whole records.

use std::borrow::Cow;
use std::ops::ControlFlow;

use turnleaf_format::Ordinal;
use turnleaf_format::record::{Entry, Flags, Kind};

/// Largest record that is held in memory as a whole, bytes; a larger one is kept and exported but
/// never parsed.
pub const PARSED_BYTES_MAX: u64 = 64 << 20;

/// The bytes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// All of them.
    Whole(Cow<'a, [u8]>),
    /// Over [`PARSED_BYTES_MAX`]: only the length in bytes is known here; read its entries instead.
    Opaque(u64),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the thread.
    pub ordinal: Ordinal,
    /// What it is.
    pub kind: Kind,
    /// Its properties.
    pub flags: Flags,
    /// When it was received, Unix milliseconds.
    pub timestamp_ms: i64,
    /// Its bytes.
    pub payload: Payload<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn inline(ordinal: Ordinal, entry: &Entry<'a>) -> Record<'a> {
        Record::of(ordinal, entry, Payload::Whole(Cow::Borrowed(entry.bytes)))
    }

    fn of<'p>(ordinal: Ordinal, entry: &Entry<'_>, payload: Payload<'p>) -> Record<'p> {
        let Entry {
            kind,
            flags,
            timestamp_ms,
            ..
        } = *entry;
        Record {
            ordinal,
            kind,
            flags,
            timestamp_ms,
            payload,
        }
    }

    /// The bytes, unless they are opaque.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.payload {
            Payload::Whole(bytes) => Some(bytes),
            Payload::Opaque(_) => None,
        }
    }

    /// The record at another place.
    pub(super) fn at(&self, ordinal: Ordinal) -> Record<'_> {
        let Record {
            kind,
            flags,
            timestamp_ms,
            ref payload,
            ..
        } = *self;
        let payload = match payload {
            Payload::Whole(bytes) => Payload::Whole(Cow::Borrowed(&**bytes)),
            Payload::Opaque(len) => Payload::Opaque(*len),
        };
        Record {
            ordinal,
            kind,
            flags,
            timestamp_ms,
            payload,
        }
    }

    /// A copy that owns its bytes.
    #[must_use]
    pub fn to_owned_record(&self) -> Record<'static> {
        let Record {
            ordinal,
            kind,
            flags,
            timestamp_ms,
            ref payload,
        } = *self;
        let payload = match payload {
            Payload::Whole(bytes) => Payload::Whole(Cow::Owned(bytes.clone().into_owned())),
            Payload::Opaque(len) => Payload::Opaque(*len),
        };
        Record {
            ordinal,
            kind,
            flags,
            timestamp_ms,
            payload,
        }
    }
}

/// Gathers the chunks of one record at a time.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    bytes: Vec<u8>,
    len: u64,
}

impl Assembler {
    /// Takes the next entry in order and hands on the record that it completes, if any.
    pub(super) fn take(
        &mut self,
        ordinal: Ordinal,
        entry: &Entry<'_>,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if entry.chunk.is_none() {
            return visit(&Record::inline(ordinal, entry));
        }
        if entry.begins() {
            self.len = 0;
            self.bytes = Vec::new();
        }
        self.len += entry.bytes.len() as u64;
        if self.len <= PARSED_BYTES_MAX {
            self.bytes.extend_from_slice(entry.bytes);
        } else {
            self.bytes = Vec::new();
        }
        if !entry.completes() {
            return ControlFlow::Continue(());
        }
        let payload = if self.len <= PARSED_BYTES_MAX {
            Payload::Whole(Cow::Owned(std::mem::take(&mut self.bytes)))
        } else {
            Payload::Opaque(self.len)
        };
        visit(&Record::of(ordinal, entry, payload))
    }
}
