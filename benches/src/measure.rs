//! Owns the measuring of one piece of work: wall time, CPU time, peak memory.

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a piece of work cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Time on the clock.
    pub wall: Duration,
    /// User and system time of this process.
    pub cpu: Duration,
    /// Largest resident memory in KiB, where the work had a process of its own; else 0.
    pub peak_kib: u64,
}

/// Does the work and measures it.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let done = work();
    (
        done,
        Cost {
            wall: wall.elapsed(),
            cpu: cpu_time().saturating_sub(cpu),
            peak_kib: 0,
        },
    )
}

/// Does the work so many times and gives what one time costs.
pub fn mean_of(times: u32, mut work: impl FnMut()) -> Cost {
    let ((), cost) = measure(|| (0..times).for_each(|_| work()));
    Cost {
        wall: cost.wall / times,
        cpu: cost.cpu / times,
        ..cost
    }
}

/// The lower quartile by CPU time: what the work costs when nothing disturbs it.
///
/// # Panics
/// If there is no cost.
#[must_use]
pub fn quartile(costs: &mut [Cost]) -> Cost {
    costs.sort_by_key(|cost| cost.cpu);
    costs[costs.len() / 4]
}

/// CPU time of this process so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Largest resident memory of this process so far, in KiB.
#[must_use]
pub fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
