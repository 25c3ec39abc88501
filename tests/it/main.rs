//! Tests that need more than one crate, in one binary.

mod adoptions;
mod crash;
mod damage;
mod failing_index;
mod full_disk;
mod fuzz;
mod house;
mod large_records;
mod listed_damage;
mod long_life;
mod losses;
mod lost_imports;
mod model;
mod projection;
mod read_back;
mod released;
mod repair;
mod repeats;
mod rot;
mod rotation;
mod runtime_homes;
mod sealing;
mod short_runs;
mod texts;
mod toy;
mod unopened;
