//! Owns the JSON that is served for items. It must not know turns, rows or ordinals.

mod call;
mod commands;
mod error;
mod line;
mod review;
mod serve_collab;
mod serve_event;
mod serve_item;
mod served;

#[cfg(test)]
mod tests;

pub use call::{CallPlace, render_call};
pub use line::{render, turn_error};
