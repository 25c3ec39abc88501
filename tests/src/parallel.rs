//! Owns work on all cores: what rigs with many independent states share.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Does the numbered pieces of work on all cores; results come in their order.
///
/// # Panics
/// When a piece of work does.
pub fn in_parallel<T: Send>(numbers: Range<u64>, work: &(dyn Fn(u64) -> T + Sync)) -> Vec<T> {
    let next = AtomicU64::new(numbers.start);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    let result = work(number);
                    done.lock()
                        .expect("no worker failed")
                        .push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker failed");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::in_parallel;

    #[test]
    fn work_on_all_cores_comes_in_order() {
        let squares: Vec<u64> = (3..200).map(|number| number * number).collect();
        assert_eq!(in_parallel(3..200, &|number| number * number), squares);
    }
}
