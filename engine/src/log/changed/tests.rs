//! What is handed out of changes, a part at a time.

use super::*;

#[test]
fn parts_of_what_changed_are_all_of_it() {
    let mut changed = Changed::default();
    assert_eq!(changed.behind(1, 2), (1, vec![]));
    [7, 8, 9, 7, 6]
        .iter()
        .for_each(|thread| changed.note(ThreadNumber(*thread)));
    let all = [8, 9, 7, 6].map(ThreadNumber);
    assert_eq!(changed.behind(0, usize::MAX), (6, all.to_vec()));
    assert_eq!(changed.behind(0, 4), (6, all.to_vec()));
    let (reached, first) = changed.behind(1, 3);
    assert_eq!(first, all[..3]);
    // What changes again meanwhile comes once more, behind the others.
    changed.note(ThreadNumber(8));
    let rest = [6, 8].map(ThreadNumber).to_vec();
    assert_eq!(changed.behind(reached, 3), (7, rest));
    assert_eq!(changed.behind(7, 3), (7, vec![]));
    assert_eq!(changed.behind(reached, 0), (reached, vec![]));
}
