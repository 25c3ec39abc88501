//! Owns `tour`: what the store does, shown with a thread that is made for it, step by step.

mod io_counts;
mod place;
mod thread;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};
use turnleaf::{ForkPoint, ItemsView, Order, Store, TurnsRequest};

use crate::args::{Global, TourArgs};
use crate::commands::pages::turns_table;
use crate::commands::{at, closing, import};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{Times, print_json, print_line, progress, size, warn};
use io_counts::IoCounts;
use place::Place;
use thread::THREAD;

/// Turns of the page that is shown.
const TURNS: usize = 5;

pub(crate) fn run(global: &Global, args: &TourArgs) -> Result<Outcome, Failure> {
    let place = Place::new(args.keep.as_deref())?;
    let mut tour = Tour {
        global,
        steps: Vec::new(),
    };
    let ok = tour.walk(&place, args.size)?;
    let store = place.store();
    let kept = args.keep.is_some();
    if global.json {
        print_json(&json!({
            "ok": ok,
            "thread": THREAD,
            "store": kept.then(|| store.display().to_string()),
            "steps": tour.steps,
        }))?;
    } else if kept {
        print_line(&format!(
            "the store is kept: turnleaf --store {} turns {THREAD}",
            store.display()
        ))?;
    }
    place.leave()?;
    if !kept && !global.json {
        print_line("the thread and its store were removed; --keep DIR keeps them")?;
    }
    Ok(if ok { Outcome::Done } else { Outcome::Damaged })
}

/// The steps of a tour so far.
struct Tour<'g> {
    global: &'g Global,
    steps: Vec<Value>,
}

/// What a step came to: for people, and for programs.
struct Told {
    text: String,
    figures: Value,
}

impl Tour<'_> {
    /// All steps. Says whether the log is whole and the export is identical.
    fn walk(&mut self, place: &Place, bytes: u64) -> Result<bool, Failure> {
        let (source, dir) = (place.thread(), place.store());
        let made = self.step("make", |tour| tour.make(&source, bytes))?;
        self.step("import", |tour| tour.import(&dir, &source, made))?;
        self.page(&dir)?;
        self.step("resume", |_| resume(&dir))?;
        let whole = self.step("verify", |tour| tour.verify(&dir))?;
        let same = self.step("export", |_| export(&dir, &source))?;
        if !same {
            warn("the export differs from the thread that was imported");
        }
        Ok(whole && same)
    }

    /// Does one step and tells what it was, how long it took, and what it read and wrote.
    fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&Self) -> Result<(T, Told), Failure>,
    ) -> Result<T, Failure> {
        let (before, began) = (IoCounts::now(), Instant::now());
        let (done, told) = work(self)?;
        let elapsed = began.elapsed();
        let moved = IoCounts::now()
            .zip(before)
            .map(|(now, then)| now.since(then));
        let number = self.steps.len() + 1;
        if !self.global.json {
            let moved = moved.map_or_else(String::new, |moved| {
                let (read, written) = (size(moved.read), size(moved.written));
                format!("; read {read}, wrote {written}")
            });
            print_line(&format!(
                "{number}. {} ({:.1} ms{moved})",
                told.text,
                elapsed.as_secs_f64() * 1000.0
            ))?;
        }
        let mut shown = Map::new();
        shown.insert("step".into(), name.into());
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        shown.insert("elapsed_ms".into(), millis.into());
        shown.insert("readBytes".into(), moved.map(|moved| moved.read).into());
        shown.insert(
            "writtenBytes".into(),
            moved.map(|moved| moved.written).into(),
        );
        if let Value::Object(figures) = told.figures {
            shown.extend(figures);
        }
        self.steps.push(Value::Object(shown));
        Ok(done)
    }

    fn is_hidden(&self) -> bool {
        self.global.json || self.global.quiet
    }

    fn make(&self, path: &Path, bytes: u64) -> Result<(u64, Told), Failure> {
        let refused = || Failure::io(format!("write {}", path.display()));
        let bar = progress(bytes, self.is_hidden(), "make");
        let mut out = BufWriter::new(File::create_new(path).map_err(refused())?);
        let made = thread::write(bytes, &mut out, &mut |done| bar.set_position(done));
        let made = made.and_then(|made| out.flush().map(|()| made));
        let made = made.map_err(refused())?;
        bar.finish_and_clear();
        let text = format!(
            "made a thread of {}: {} records, {} turns, {} compactions",
            size(made.bytes),
            made.records,
            made.turns,
            made.compactions
        );
        let figures = json!({
            "bytes": made.bytes,
            "records": made.records,
            "turns": made.turns,
            "compactions": made.compactions,
        });
        Ok((made.bytes, Told { text, figures }))
    }

    fn import(&self, dir: &Path, source: &Path, bytes: u64) -> Result<((), Told), Failure> {
        let bar = progress(bytes, self.is_hidden(), "import");
        let (imported, stats) = closing(at(dir, Store::open)?, |store| {
            let imported = import::file(store, source, &mut |done| bar.set_position(done))?;
            Ok((imported, store.stats()?))
        })?;
        bar.finish_and_clear();
        let share = stats.segment_bytes * 100 / imported.bytes.max(1);
        let text = format!(
            "imported {} records: {} segments of {}, {share} % of the thread",
            imported.added_records,
            stats.segments.len(),
            size(stats.segment_bytes)
        );
        let figures = json!({
            "records": imported.added_records,
            "segments": stats.segments.len(),
            "segmentBytes": stats.segment_bytes,
        });
        Ok(((), Told { text, figures }))
    }

    fn page(&mut self, dir: &Path) -> Result<(), Failure> {
        let page = self.step("page", |_| {
            let store = at(dir, Store::open_to_read)?;
            let page = store.turns(&TurnsRequest {
                thread: THREAD.to_owned(),
                cursor: None,
                limit: TURNS,
                order: Order::Descending,
                items: ItemsView::Summary,
            })?;
            let text = format!(
                "opened the store and read the newest {} turns",
                page.turns.len()
            );
            let figures = json!({ "turns": page.turns.len() });
            Ok((page, Told { text, figures }))
        })?;
        if !self.global.json {
            let rows = turns_table(&page, &Times::of(self.global));
            for row in rows.to_string().lines() {
                print_line(&format!("   {}", row.trim_end()))?;
            }
        }
        Ok(())
    }

    fn verify(&self, dir: &Path) -> Result<(bool, Told), Failure> {
        let store = at(dir, Store::open_to_read)?;
        let bar = progress(store.stats()?.payload_bytes, self.is_hidden(), "verify");
        let report = store.verify(None, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        let verdict = if report.is_log_ok() { "ok" } else { "damaged" };
        let text = format!(
            "verified every checksum of {} records: {verdict}",
            report.records
        );
        let figures = json!({ "ok": report.is_log_ok(), "records": report.records });
        Ok((report.is_log_ok(), Told { text, figures }))
    }
}

fn resume(dir: &Path) -> Result<((), Told), Failure> {
    let store = at(dir, Store::open_to_read)?;
    let mut counted = Counted(0);
    let written = store.context(THREAD, &ForkPoint::Latest, &mut counted)?;
    let text = format!(
        "opened the store and read what the model needs to resume: {} records, {}",
        written.records,
        size(counted.0)
    );
    let figures = json!({ "records": written.records, "bytes": counted.0 });
    Ok(((), Told { text, figures }))
}

fn export(dir: &Path, source: &Path) -> Result<(bool, Told), Failure> {
    let store = at(dir, Store::open_log)?;
    let read = || Failure::io(format!("read {}", source.display()));
    let mut compared = Compared {
        with: File::open(source).map_err(read())?,
        buffer: Vec::new(),
        is_same: true,
    };
    let bytes = store.export(THREAD, .., &mut compared)?;
    let same = compared.ends_the_same().map_err(read())?;
    let verdict = if same {
        "identical to"
    } else {
        "different from"
    };
    let text = format!("exported {}: {verdict} what was imported", size(bytes));
    let figures = json!({ "bytes": bytes, "identical": same });
    Ok((same, Told { text, figures }))
}

/// Counts what is written and keeps nothing.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares what is written with a file.
struct Compared<R> {
    with: R,
    buffer: Vec<u8>,
    is_same: bool,
}

impl<R: Read> Compared<R> {
    /// Whether all that was written is the same, and the file has no more.
    fn ends_the_same(mut self) -> io::Result<bool> {
        Ok(self.is_same && self.with.read(&mut [0])? == 0)
    }
}

impl<R: Read> Write for Compared<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_same {
            self.buffer.clear();
            let mut expected = (&mut self.with).take(bytes.len() as u64);
            expected.read_to_end(&mut self.buffer)?;
            self.is_same = self.buffer == bytes;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
