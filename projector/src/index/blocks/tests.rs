//! A file of checked blocks is the plain file to whoever reads it, and never another one.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::{BLOCK, Blocks, GROUP_BLOCKS, is_mismatch};

/// A file that grows where it is written, and outlives what reads it.
#[derive(Debug, Clone, Default)]
struct Plain(Arc<Mutex<Vec<u8>>>);

impl Plain {
    fn at<T>(&self, offset: u64, len: usize, act: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
        let mut bytes = self.0.lock().expect("no test panics with the lock");
        let start = usize::try_from(offset).expect("tests write small files");
        let part = bytes.get_mut(start..start + len);
        Ok(act(part.ok_or(io::ErrorKind::UnexpectedEof)?))
    }
}

impl StorageBackend for Plain {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("no test panics with the lock").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.at(offset, out.len(), |bytes| out.copy_from_slice(bytes))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("tests write small files");
        let mut bytes = self.0.lock().expect("no test panics with the lock");
        bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.at(offset, data.len(), |bytes| bytes.copy_from_slice(data))
    }
}

/// Blocks beside the border between two groups, and the bytes of a file that has both.
const BORDER: u64 = GROUP_BLOCKS * BLOCK as u64;
const FILE_BYTES: u64 = BORDER + 8 * BLOCK as u64;

fn filled(seed: u64, len: usize) -> Vec<u8> {
    let byte = |at: usize| (seed.wrapping_mul(31).wrapping_add(at as u64 * 7) % 251) as u8 + 1;
    (0..len).map(byte).collect()
}

fn read(blocks: &Blocks<Plain>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0xEE; len];
    blocks.read(offset, &mut out).map(|()| out)
}

/// Offsets and lengths that begin and end within blocks, at their ends, and in another group.
fn pieces() -> Vec<(u64, usize)> {
    let block = BLOCK as u64;
    let mut pieces = Vec::new();
    for at in [block, 3 * block, BORDER - block, BORDER, BORDER + block] {
        for inside in [0, 1, 100, block - 1] {
            for len in [1, 99, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK - 7] {
                pieces.push((at + inside, len));
            }
        }
    }
    pieces
}

#[test]
fn what_is_written_is_read_wherever_it_begins_and_ends() {
    let file = Plain::default();
    let blocks = Blocks::new(file.clone());
    assert_eq!(blocks.len().expect("memory does not fail"), 0);
    blocks.set_len(FILE_BYTES).expect("memory does not fail");
    assert_eq!(blocks.len().expect("memory does not fail"), FILE_BYTES);
    let mut expect = vec![0; usize::try_from(FILE_BYTES).expect("a small file")];
    for (seed, (offset, len)) in pieces().into_iter().enumerate() {
        let data = filled(seed as u64, len);
        blocks.write(offset, &data).expect("memory does not fail");
        let start = usize::try_from(offset).expect("a small file");
        expect[start..start + len].copy_from_slice(&data);
        // Also what stands beside it, from within a block to within another.
        let (from, to) = (start - 3, start + len + 5);
        let around = read(&blocks, from as u64, to - from).expect("it is right");
        assert!(around == expect[from..to], "{offset} {len}");
    }
    blocks.close().expect("memory does not fail");
    let again = Blocks::new(file);
    assert_eq!(again.len().expect("memory does not fail"), FILE_BYTES);
    assert!(read(&again, 0, expect.len()).expect("it is right") == expect);
    for (offset, len) in pieces() {
        let start = usize::try_from(offset).expect("a small file");
        let found = read(&again, offset, len).expect("it is right");
        assert!(found == expect[start..start + len], "{offset} {len}");
    }
}

#[test]
fn nothing_is_read_behind_the_end() {
    let blocks = Blocks::new(Plain::default());
    blocks.set_len(FILE_BYTES).expect("memory does not fail");
    assert!(read(&blocks, FILE_BYTES - 1, 1).is_ok());
    for (offset, len) in [(FILE_BYTES - 1, 2), (FILE_BYTES, 1), (u64::MAX, 1)] {
        let refused = read(&blocks, offset, len).expect_err("it is behind the end");
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof, "{offset}");
    }
    let refused = blocks.set_len(FILE_BYTES + 1).expect_err("half a block");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

/// A changed byte of a block is found by every read that touches the block, and by no other.
#[test]
fn a_changed_byte_is_found_where_it_is() {
    let file = Plain::default();
    let blocks = Blocks::new(file.clone());
    blocks.set_len(FILE_BYTES).expect("memory does not fail");
    let whole = usize::try_from(FILE_BYTES).expect("a small file");
    blocks
        .write(0, &filled(1, whole))
        .expect("memory does not fail");
    blocks.close().expect("memory does not fail");
    let block = BLOCK as u64;
    // In the file: the checksums of a group stand before its blocks.
    let places = [(1, 2 * block), (1023, 1024 * block), (1024, 1026 * block)];
    for (number, at) in places {
        let flipped = Plain(Arc::new(Mutex::new(
            file.0.lock().expect("no test panics with the lock").clone(),
        )));
        flipped
            .at(at + 77, 1, |byte| byte[0] ^= 4)
            .expect("it is there");
        let blocks = Blocks::new(flipped);
        let begin = number * block;
        for (offset, len) in [(begin, BLOCK), (begin + 9, 1), (begin - 1, 2)] {
            let refused = read(&blocks, offset, len).expect_err("it is wrong");
            assert!(is_mismatch(&refused), "{number}: {refused}");
        }
        assert!(read(&blocks, begin - block, BLOCK).is_ok());
        assert!(read(&blocks, begin + block, BLOCK).is_ok());
        // What is written into a wrong block does not make the rest of it right.
        assert!(blocks.write(begin + 9, b"x").is_err());
        // A whole block is right again.
        blocks.write(begin, &filled(2, BLOCK)).expect("it is whole");
        assert!(read(&blocks, begin, BLOCK).is_ok());
    }
}

/// Whoever cuts a file and extends it again finds zeros there.
#[test]
fn a_file_is_cut_and_extended() {
    let file = Plain::default();
    let blocks = Blocks::new(file.clone());
    let block = BLOCK as u64;
    for end in [4 * block, BORDER + 2 * block, BORDER, 2 * block] {
        blocks.set_len(FILE_BYTES).expect("memory does not fail");
        let whole = usize::try_from(FILE_BYTES).expect("a small file");
        let data = filled(end, whole);
        blocks.write(0, &data).expect("memory does not fail");
        blocks.set_len(end).expect("memory does not fail");
        assert_eq!(blocks.len().expect("memory does not fail"), end);
        blocks.sync_data().expect("memory does not fail");
        let again = Blocks::new(file.clone());
        let kept = usize::try_from(end).expect("a small file");
        assert!(read(&again, 0, kept).expect("it is right") == data[..kept]);
        blocks.set_len(FILE_BYTES).expect("memory does not fail");
        let behind = read(&blocks, end, whole - kept).expect("it is right");
        assert!(behind.iter().all(|byte| *byte == 0), "cut at {end}");
        blocks.sync_data().expect("memory does not fail");
        let again = Blocks::new(file.clone());
        let behind = read(&again, end, whole - kept).expect("it is right");
        assert!(behind.iter().all(|byte| *byte == 0), "cut at {end}");
    }
}

/// A file whose length no writer leaves is no index.
#[test]
fn a_length_that_nobody_wrote_is_refused() {
    let block = BLOCK as u64;
    for len in [1, block - 1, block, block + 1, 3 * block + 5] {
        let file = Plain::default();
        file.set_len(len).expect("memory does not fail");
        let refused = Blocks::new(file).len().expect_err("no writer leaves it");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{len}");
    }
    for (len, logical) in [(0, 0), (2 * block, block), (1025 * block, 1024 * block)] {
        let file = Plain::default();
        file.set_len(len).expect("memory does not fail");
        let found = Blocks::new(file).len().expect("a writer leaves it");
        assert_eq!(found, logical);
    }
}
