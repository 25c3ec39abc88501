//! The tables pattern by pattern. Each row of RECOVERY.md is stated here once more, as a condition
//! on the evidence; of every pattern exactly one row must hold, and the table must say that one.

mod catalogue;
mod ends;
mod files;
mod frames;
mod segments;

use std::fmt::Debug;

/// A row: its name, when it applies, and what the table must say then.
type Row<E, V> = (&'static str, fn(&E) -> bool, V);

/// Checks a table against its rows, over all patterns that are possible. Every row must apply to
/// one of them.
fn check<E: Debug, V: Debug + PartialEq>(
    patterns: impl IntoIterator<Item = E>,
    rows: &[Row<E, V>],
    table: impl Fn(&E) -> V,
) {
    let mut used = vec![false; rows.len()];
    for pattern in patterns {
        let applies: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].1(&pattern)).collect();
        let names: Vec<_> = applies.iter().map(|at| rows[*at].0).collect();
        assert_eq!(applies.len(), 1, "{pattern:?}: the rows {names:?} apply");
        let (name, _, verdict) = &rows[applies[0]];
        assert_eq!(table(&pattern), *verdict, "{name}: {pattern:?}");
        used[applies[0]] = true;
    }
    for (row, used) in rows.iter().zip(used) {
        assert!(used, "no pattern is one of the row {}", row.0);
    }
}
