//! The format from outside: golden vectors, the second reader, and the ids of the documents.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;
mod documents;
mod files;
mod json;
mod reader;
mod vectors;
