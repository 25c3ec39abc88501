//! Owns the upkeep of a store: `verify`, `stats`, `name`, `rebuild-index`.

use serde_json::{Value, json};
use turnleaf::IndexState;

use crate::args::Global;
use crate::commands::{
    NOT_OWNED, closing, open_existing, open_log, open_to_read, open_what_is_free, thread_id,
};
use crate::damage::{damage_lines, damage_of_store, inherited_line};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{print_json, print_line, progress, size, table, warn};

pub(crate) fn verify(global: &Global, thread: Option<&str>) -> Result<Outcome, Failure> {
    // The index belongs to the owner; beside one, the log alone is verified.
    let store = open_what_is_free(global)?;
    let thread = thread.map(|given| thread_id(&store, given)).transpose()?;
    let thread = thread.as_deref();
    let total = store.stats()?;
    let expected = total.payload_bytes + total.unsealed_bytes;
    let bar = progress(expected, global.json || global.quiet, "verify");
    let mut report = store.verify(thread, &mut |bytes| bar.set_position(bytes))?;
    if !report.damage.is_empty() && report.index == IndexState::NotVerified {
        // The owner may have recycled a journal file under this reader: what is really damaged is
        // still damaged when everything is looked up anew.
        report = open_log(global)?.verify(thread, &mut |bytes| bar.set_position(bytes))?;
    }
    bar.finish_and_clear();
    if global.json {
        let damage: Vec<_> = report
            .damage
            .iter()
            .map(|(thread, damage)| damage_of_store(&store, (thread.as_deref(), damage)))
            .collect();
        print_json(&json!({
            "ok": report.is_log_ok(),
            "threads": report.threads,
            "records": report.records,
            "bytes": report.bytes,
            "damage": damage,
            "index": index_json(&report.index),
        }))?;
    } else {
        let found = report.damage.iter();
        for line in damage_lines(found.map(|(thread, damage)| (thread.as_deref(), damage))) {
            print_line(&line)?;
        }
        let damage = report.damage.iter().map(|(_, damage)| damage);
        if let Some(line) = inherited_line(&store, damage) {
            print_line(&line)?;
        }
        tell_index(global, &report.index)?;
        let verdict = if report.is_log_ok() { "ok" } else { "damaged" };
        print_line(&format!(
            "{verdict}: {} threads, {} records in the log, {} read",
            report.threads,
            report.records,
            size(report.bytes)
        ))?;
    }
    Ok(if report.is_log_ok() {
        Outcome::Done
    } else {
        Outcome::Damaged
    })
}

/// What is wrong with the index is told and costs nothing: the log is right without it.
fn tell_index(global: &Global, index: &IndexState) -> Result<(), Failure> {
    match index {
        IndexState::Right => {}
        IndexState::NotVerified if global.quiet => {}
        IndexState::NotVerified => {
            warn(format_args!("{NOT_OWNED}: its index was not verified"));
        }
        IndexState::Unusable(why) => print_line(&format!(
            "the index is to be rebuilt, and the next read does: {why}"
        ))?,
        IndexState::Differs(threads) => {
            for (id, how) in threads {
                print_line(&format!(
                    "the index is to be rebuilt (`turnleaf rebuild-index`): thread {id}: {how}"
                ))?;
            }
        }
    }
    Ok(())
}

fn index_json(index: &IndexState) -> Value {
    match index {
        IndexState::NotVerified => json!({ "state": "notVerified" }),
        IndexState::Right => json!({ "state": "right" }),
        IndexState::Unusable(why) => json!({ "state": "toBeRebuilt", "why": why }),
        IndexState::Differs(threads) => {
            let shown = threads
                .iter()
                .map(|(id, how)| json!({ "thread": id, "how": how }));
            json!({ "state": "toBeRebuilt", "differs": shown.collect::<Vec<_>>() })
        }
    }
}

pub(crate) fn stats(global: &Global) -> Result<Outcome, Failure> {
    let store = open_log(global)?;
    let stats = store.stats()?;
    let ratio = |part: u64, whole: u64| {
        // Figures for people: two decimals of a ratio of byte counts.
        let thousandths = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
        f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0
    };
    let compression = ratio(stats.payload_bytes, stats.segment_bytes);
    let record_bytes = stats.payload_bytes + stats.unsealed_bytes;
    let index_share = ratio(stats.index_bytes, record_bytes);
    if global.json {
        let segments: Vec<_> = stats
            .segments
            .iter()
            .map(|info| {
                json!({
                    "segment": info.segment.0,
                    "file": info.path,
                    "pack": info.pack,
                    "fileBytes": info.file_bytes,
                    "payloadBytes": info.payload_bytes,
                    "runs": info.runs.len(),
                })
            })
            .collect();
        return print_json(&json!({
            "threads": stats.threads,
            "records": stats.records,
            "recordBytes": record_bytes,
            "journalBytes": stats.journal_bytes,
            "unsealedBytes": stats.unsealed_bytes,
            "segmentBytes": stats.segment_bytes,
            "payloadBytes": stats.payload_bytes,
            "compression": compression,
            "indexBytes": stats.index_bytes,
            "indexShare": index_share,
            "segments": segments,
        }))
        .map(|()| Outcome::Done);
    }
    let mut rows = table(&["what", "how much"]);
    rows.add_row(["threads".to_owned(), stats.threads.to_string()]);
    rows.add_row(["records in the log".to_owned(), stats.records.to_string()]);
    rows.add_row(["record bytes".to_owned(), size(record_bytes)]);
    rows.add_row(["  sealed".to_owned(), size(stats.payload_bytes)]);
    rows.add_row([
        "  in the journal only".to_owned(),
        size(stats.unsealed_bytes),
    ]);
    let files = format!(
        "{} in {} files",
        size(stats.segment_bytes),
        stats.segments.len()
    );
    rows.add_row(["segments".to_owned(), files]);
    rows.add_row(["compression".to_owned(), format!("{compression:.2} to 1")]);
    rows.add_row(["journal files".to_owned(), size(stats.journal_bytes)]);
    let index = format!(
        "{} ({:.1} % of record bytes)",
        size(stats.index_bytes),
        index_share * 100.0
    );
    rows.add_row(["index".to_owned(), index]);
    print_line(&rows.to_string())?;
    Ok(Outcome::Done)
}

pub(crate) fn name(global: &Global, thread: &str, text: &str) -> Result<Outcome, Failure> {
    let shown = closing(open_existing(global)?, |store| {
        let thread = &thread_id(store, thread)?;
        store.set_name(thread, text.trim())?;
        Ok(store.show(thread)?)
    })?;
    if global.json {
        print_json(&shown.thread)?;
    }
    Ok(Outcome::Done)
}

pub(crate) fn rebuild_index(global: &Global) -> Result<Outcome, Failure> {
    let store = open_to_read(global)?;
    let stats = store.stats()?;
    let total = stats.payload_bytes + stats.unsealed_bytes;
    let bar = progress(total, global.json || global.quiet, "rebuild");
    let started = std::time::Instant::now();
    let report = store.rebuild_index(&mut |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if global.json {
        print_json(&json!({
            "threads": report.threads,
            "records": report.records,
            "bytes": report.bytes,
            "elapsed_ms": elapsed_ms,
        }))?;
    } else if !global.quiet {
        print_line(&format!(
            "rebuilt: {} threads, {} records in the log, {} in {elapsed_ms} ms",
            report.threads,
            report.records,
            size(report.bytes)
        ))?;
    }
    Ok(crate::commands::met(global, &store))
}
