//! Owns the proof that the fold keeps the rules: the shared cases, and properties over them.

mod anomalies;
mod calls;
mod cases;
mod conformance;
mod endings;
mod facts;
mod properties;
mod records;
mod repeats;
mod time;
mod times;
