//! What a scan of a journal file finds, however the device reads it.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::build::{File, STORE, Thread, four};
use crate::disk::tests::hooked::hooked;
use crate::disk::{Access, Disk, OsDisk};
use crate::journal::{NoFrame, highest_frame, scan_file};

const NAME: &str = "file";
/// What is searched at once.
const SEARCHED_BYTES: u64 = 4 << 20;

/// What one reading shows otherwise than the file is, and the next does not.
fn scan_misread(file: &File, at: u64) -> (usize, Vec<NoFrame>) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(NAME), &file.bytes).unwrap();
    let lies = AtomicBool::new(true);
    let disk = hooked(Arc::new(OsDisk::new(home.path())), move |call, read| {
        if (call.offset..call.offset + call.len).contains(&at)
            && lies.swap(false, Ordering::Relaxed)
        {
            read[usize::try_from(at - call.offset).unwrap()] ^= 0x10;
        }
        Ok(())
    });
    let opened = disk.open(NAME, Access::Read).unwrap();
    let (generation, capacity) = (file.header.generation, file.header.capacity);
    let scan = scan_file(&*opened, NAME, STORE, generation, capacity, None).unwrap();
    let odd = scan.gaps.iter().map(|gap| gap.why).collect();
    (scan.frames.len(), odd)
}

/// A bit that is wrong on the way alone costs nothing, wherever it is. [R:reread]
#[test]
fn a_frame_that_one_reading_misses_is_there() {
    let file = four().file;
    for frame in &file.places {
        for at in [0, 10, 40, 100] {
            let (frames, odd) = scan_misread(&file, frame + at);
            assert_eq!(
                frames,
                file.places.len(),
                "byte {at} of the frame at {frame}"
            );
            assert_eq!(odd, [NoFrame::Zeros], "byte {at} of the frame at {frame}");
        }
    }
}

/// Beyond what is searched at once, behind a hole, and over its border.
#[test]
fn frames_are_found_wherever_they_stand_in_a_file() {
    let frame = |generation: u64, offset: u64| {
        let mut file = File::new(generation, None);
        file.end = offset;
        let mut header = file.next(&Thread::new(1), 1);
        header.body_len = 30;
        (offset, header.encode(STORE).0)
    };
    let check = |frames: &[(u64, [u8; 96])], highest: Option<u64>| {
        let home = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(home.path().join(NAME)).unwrap();
        file.set_len(3 * SEARCHED_BYTES).unwrap();
        for (offset, bytes) in frames {
            file.write_all_at(bytes, *offset).unwrap();
        }
        let disk = OsDisk::new(home.path());
        let opened = disk.open(NAME, Access::Read).unwrap();
        let seen = highest_frame(&*opened, NAME, Some(STORE)).unwrap();
        assert_eq!(seen.highest.map(|found| found.0), highest);
    };
    check(&[], None);
    check(&[frame(3, 8192)], Some(3));
    check(
        &[frame(3, 8192), frame(5, 2 * SEARCHED_BYTES + 64)],
        Some(5),
    );
    check(&[frame(4, SEARCHED_BYTES - 8)], Some(4));
    check(&[frame(6, SEARCHED_BYTES + 4096), frame(2, 8192)], Some(6));
}
