//! Owns where a page of rows ends because of its bytes: at 8 MiB of JSON.

use serde::Serialize;
use turnleaf_engine::format::Ordinal;
use turnleaf_projector::index::Page;

use crate::error::Error;
use crate::reads::served::json_bytes;

/// Bytes of JSON after which a page ends; a single row may be larger.
pub(super) const PAGE_BYTES_MAX: usize = 8 << 20;
/// Rows that are read at once at first, and at most: what rows cost is known only when they were
/// read, and the next ones may cost more than those before.
const PART_ROWS: usize = 4;
const PART_ROWS_MAX: usize = 32;

/// Makes what a page shows of its rows, in parts of which only one is held besides it, until
/// [`PAGE_BYTES_MAX`] is reached; the rows behind that are left to the next page. `render` gives
/// for each row what is shown of it, if anything; of some rows at the beginning, one at least.
pub(super) fn fill<T, S: Serialize>(
    page: &mut Page<T>,
    mut render: impl FnMut(&[(Ordinal, T)]) -> Result<Vec<Option<S>>, Error>,
) -> Result<Vec<S>, Error> {
    let mut shown = Vec::with_capacity(page.rows.len());
    let (mut taken, mut bytes, mut part) = (0, 0, PART_ROWS);
    while taken < page.rows.len() {
        let end = page.rows.len().min(taken + part);
        for value in render(&page.rows[taken..end])? {
            let more = value.as_ref().map_or(0, json_bytes);
            if taken > 0 && bytes + more > PAGE_BYTES_MAX {
                page.rows.truncate(taken);
                page.more = true;
                return Ok(shown);
            }
            shown.extend(value);
            (taken, bytes) = (taken + 1, bytes + more);
        }
        // As many as will fit, if they are like those before; few, because they may not be.
        let fit = (PAGE_BYTES_MAX - bytes.min(PAGE_BYTES_MAX)) * taken / bytes.max(1);
        part = fit.clamp(1, PART_ROWS_MAX);
    }
    Ok(shown)
}
