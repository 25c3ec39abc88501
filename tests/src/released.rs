//! Owns how the records of a released store are told, one line each: ordinal, kind, flags, time,
//! length, checksum and a beginning of the bytes.

use turnleaf_engine::Record;
use turnleaf_format::record::payload_crc;

/// Bytes of a record that are shown.
const SHOWN_BYTES: usize = 40;

/// One record as a line of text.
///
/// # Panics
/// For a record over 64 MiB: a released store holds none.
#[must_use]
pub fn line_of(record: &Record<'_>) -> String {
    let bytes = record
        .bytes()
        .expect("a released store holds no opaque record");
    let shown = bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii();
    format!(
        "{} {} {} {} {} {:08x} {shown}\n",
        record.ordinal,
        record.kind.0,
        record.flags.bits(),
        record.timestamp_ms,
        bytes.len(),
        payload_crc(bytes)
    )
}
