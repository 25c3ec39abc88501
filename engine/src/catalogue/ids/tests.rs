use std::collections::BTreeSet;

use super::Ranges;

fn of(numbers: &[u64]) -> Ranges {
    let mut ranges = Ranges::default();
    numbers.iter().for_each(|number| ranges.insert(*number));
    ranges
}

#[test]
fn neighbours_join_from_both_sides() {
    assert_eq!(of(&[5, 7]).len(), 2);
    assert_eq!(of(&[5, 7, 6]).len(), 1);
    assert_eq!(of(&[7, 6, 5, 6]).len(), 1);
    assert_eq!(of(&[u64::MAX, 0, u64::MAX - 1, u64::MAX]).len(), 2);
}

/// Every order of numbers gives the set of them, in as few ranges as there are gaps.
#[test]
fn ranges_are_the_set_of_the_numbers() {
    let mut seed = 1_u64;
    for _ in 0..200 {
        let mut set = BTreeSet::new();
        let mut ranges = Ranges::default();
        for _ in 0..40 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (seed >> 40) % 64;
            ranges.insert(number);
            set.insert(number);
        }
        (0..66).for_each(|number| assert_eq!(ranges.contains(number), set.contains(&number)));
        let begins = |number: &&u64| !number.checked_sub(1).is_some_and(|at| set.contains(&at));
        assert_eq!(ranges.len(), set.iter().filter(begins).count());
    }
}
