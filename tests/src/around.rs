//! Owns reading around damage: what every rig does that spoils a log and looks at what is left.

use std::ops::ControlFlow;

use turnleaf_engine::{Damage, ReadError, Reader, Record};
use turnleaf_format::Ordinal;

/// Hands over every record that can be read, in order, and gives the damage that was met.
///
/// # Panics
/// When the disk fails, or when a damage does not say which records it costs: nobody could go on
/// behind such a damage.
pub fn read_around(reader: &Reader, take: &mut dyn FnMut(&Record<'_>)) -> Vec<Damage> {
    go_around(reader.end(), &mut |from, passed| {
        reader.records(from, reader.end(), &mut |record| {
            take(record);
            *passed = record.ordinal.plus(1);
            ControlFlow::Continue(())
        })
    })
}

/// Lets `read` go on from ordinal 0 to the end, behind each damage that it meets, and gives these.
/// `read` is told where to begin, and tells how far it got with whole records.
///
/// # Panics
/// As [`read_around`].
pub fn go_around(
    end: Ordinal,
    read: &mut dyn FnMut(Ordinal, &mut Ordinal) -> Result<(), ReadError>,
) -> Vec<Damage> {
    let mut met = Vec::new();
    let mut from = Ordinal(0);
    while from < end {
        let mut passed = from;
        match read(from, &mut passed) {
            Ok(()) => break,
            Err(ReadError::Damaged(damage)) => {
                let (_, behind) = damage.ordinals.expect("a damage says what it costs");
                // Records before a bad one of its block may have been read.
                assert!(
                    behind > from && behind >= passed,
                    "{damage}: nothing is behind it"
                );
                from = behind;
                met.push(*damage);
            }
            Err(error) => panic!("the disk does not fail: {error}"),
        }
    }
    met
}
