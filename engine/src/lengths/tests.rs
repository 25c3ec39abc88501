//! Packing lengths and reading them again.

use super::*;

#[test]
fn lengths_come_back_as_they_were() {
    let all = [
        0,
        1,
        63,
        64,
        127,
        128,
        8191,
        1 << 20,
        1 << 40,
        u64::MAX >> 1,
    ];
    let all = all.into_iter().zip([true, false].into_iter().cycle());
    let all: Vec<Length> = all
        .map(|(payload_bytes, boundary)| Length {
            payload_bytes,
            boundary,
        })
        .collect();
    let mut packed = LengthsOf::default();
    for length in &all {
        packed.push(*length);
    }
    assert_eq!(packed.finish().iter().collect::<Vec<_>>(), all);
    assert_eq!(packed.finish().iter().count(), 0, "begun anew");
}
