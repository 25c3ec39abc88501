//! Stops of the process and of the machine, at every operation on the file.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use turnleaf_format::{Ordinal, ThreadChain};

use super::{Image, Index, STORE, T1, T2, open, put, reader};

/// What was done to a file.
#[derive(Debug, Clone)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// Not of the file: a durable commit up to this ordinal has returned.
    Durable(u64),
}

/// A file that remembers what was done to it.
#[derive(Debug, Clone, Default)]
struct Recorder {
    image: Image,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl Recorder {
    fn note(&self, operation: Operation) {
        self.operations
            .lock()
            .expect("no test panics with the lock")
            .push(operation);
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> Result<u64, io::Error> {
        self.image.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.image.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.note(Operation::SetLen(len));
        self.image.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.note(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.note(Operation::Write(offset, data.to_vec()));
        self.image.write(offset, data)
    }
}

/// Everything that happens to a file while batches are committed and the index is closed.
fn recorded() -> Vec<Operation> {
    let recorder = Recorder::default();
    // A small cache makes redb write pages before a sync asks for it.
    let index = Index::create_or_open(recorder.clone(), STORE, 0).expect("memory does not fail");
    recorder.note(Operation::Durable(0));
    for number in 1..40_u32 {
        let mut batch = index.writer().expect("memory does not fail");
        let first = u64::from(number) * 10;
        for thread in [T1, T2] {
            let mut rows = batch.thread(thread).expect("memory does not fail");
            put(
                &mut rows,
                number,
                first,
                &[("a", first + 1), ("b", first + 2)],
            );
            let end = Ordinal(first + 10);
            rows.put_watermark(end, ThreadChain(first), &number)
                .expect("a small state");
        }
        let is_durable = number.is_multiple_of(8);
        batch.commit(is_durable).expect("memory does not fail");
        if is_durable {
            recorder.note(Operation::Durable(first + 10));
        }
    }
    drop(index);
    let operations = recorder
        .operations
        .lock()
        .expect("no test panics with the lock");
    operations.clone()
}

fn apply(image: &Image, operation: &Operation) {
    match operation {
        Operation::Write(offset, data) => image.write(*offset, data).expect("as recorded"),
        Operation::SetLen(len) => image.set_len(*len).expect("as recorded"),
        Operation::Sync | Operation::Durable(_) => {}
    }
}

/// Opens what a stop has left: all that was durable is there, and nothing is half there.
fn check(image: &Image, durable: u64, stop: usize) {
    for _ in 0..2 {
        let index = open(image).unwrap_or_else(|error| panic!("stop {stop}: {error}"));
        let view = reader(&index);
        for thread in [T1, T2] {
            let row = view
                .thread(thread)
                .unwrap_or_else(|error| panic!("stop {stop}: {error}"));
            let end = row.map_or(0, |row| row.applied_end.0);
            assert!(end >= durable, "stop {stop}: {end} of {durable}");
            let whole = view.verify_thread(thread);
            assert!(
                whole.unwrap_or_else(|error| panic!("stop {stop}: {error}")),
                "stop {stop}"
            );
        }
    }
}

#[test]
fn a_stopped_process_loses_nothing_durable() {
    let operations = recorded();
    let (image, mut durable) = (Image::default(), None);
    for (stop, operation) in operations.iter().enumerate() {
        apply(&image, operation);
        if let Operation::Durable(end) = operation {
            durable = Some(*end);
        }
        if let Some(durable) = durable {
            check(&Image::of(&image.bytes()), durable, stop);
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_durable() {
    let operations = recorded();
    let mut state = 2026;
    println!("seed {state}");
    let (synced, mut durable, mut synced_end) = (Image::default(), None, 0);
    for (stop, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Durable(end) => durable = Some(*end),
            Operation::Sync => {
                operations[synced_end..stop]
                    .iter()
                    .for_each(|done| apply(&synced, done));
                synced_end = stop;
            }
            _ => {}
        }
        let Some(durable) = durable else { continue };
        // Any part of what was not synced may have reached the disk.
        let image = Image::of(&synced.bytes());
        for done in &operations[synced_end..stop] {
            let is_len = matches!(done, Operation::SetLen(_));
            if is_len || super::random(&mut state).is_multiple_of(2) {
                apply(&image, done);
            }
        }
        check(&image, durable, stop);
    }
}
