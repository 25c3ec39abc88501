use turnleaf_format::ThreadNumber;

use super::*;

const SIZES: Sizes = Sizes {
    boundary_bytes: 1000,
    bytes_max: 3000,
};

fn cuts(records: &[(u64, bool)]) -> Vec<(u64, u64)> {
    let view = ThreadView::new(ThreadNumber(1));
    let mut stretches = Stretches::of(&view, SIZES);
    for (at, (payload_bytes, boundary)) in (0..).map(Ordinal).zip(records) {
        let (payload_bytes, boundary) = (*payload_bytes, *boundary);
        let length = Length {
            payload_bytes,
            boundary,
        };
        stretches.push(&view, at, length, SIZES);
    }
    let open = std::iter::once(&stretches.open);
    let all = stretches.closed.iter().chain(open);
    all.map(|stretch| (stretch.first.0, stretch.end.0))
        .collect()
}

#[test]
fn a_boundary_cuts_what_is_large_enough_and_any_record_what_is_full() {
    // A record weighs its payload and 20 bytes.
    let check = |records: &[(u64, bool)], expect: &[(u64, u64)]| {
        assert_eq!(cuts(records), expect, "{records:?}");
    };
    check(&[], &[(0, 0)]);
    check(&[(10, true), (10, true)], &[(0, 2)]);
    check(&[(979, false), (0, true)], &[(0, 2)]);
    check(&[(980, false), (0, true)], &[(0, 1), (1, 2)]);
    check(&[(980, false), (0, false), (0, true)], &[(0, 2), (2, 3)]);
    check(&[(2979, false), (0, false)], &[(0, 2), (2, 2)]);
    check(&[(2980, false)], &[(0, 1), (1, 1)]);
    check(&[(9000, true), (9000, true)], &[(0, 1), (1, 2), (2, 2)]);
    let empty = [(0, false); 150];
    check(&empty, &[(0, 150), (150, 150)]);
    check(&empty[..149], &[(0, 149)]);
}
