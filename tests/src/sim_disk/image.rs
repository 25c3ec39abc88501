//! Owns the bytes of a file as shared pages, so that copies of a whole disk are cheap.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, LazyLock, OnceLock};

const PAGE: usize = 4096;

static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| {
    Arc::new(Page {
        bytes: [0; PAGE],
        digest: OnceLock::new(),
    })
});

/// A page and what is known of it; whoever changes the bytes forgets the digest.
#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE],
    digest: OnceLock<u64>,
}

impl Clone for Page {
    fn clone(&self) -> Page {
        Page {
            bytes: self.bytes,
            digest: OnceLock::new(),
        }
    }
}

impl Page {
    fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&self.bytes);
            hasher.finish()
        })
    }
}

/// Bytes of one file; a clone shares its pages until one of the two is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pages: Vec<Arc<Page>>,
    len: usize,
}

impl Image {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Cuts or extends with zeros.
    pub(super) fn set_len(&mut self, len: usize) {
        if len < self.len && !len.is_multiple_of(PAGE) {
            // What is cut off must not come back when the file grows again.
            self.page(len / PAGE)[len % PAGE..].fill(0);
        }
        self.pages
            .resize_with(len.div_ceil(PAGE), || Arc::clone(&ZEROS));
        self.len = len;
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.len && !bytes.is_empty() {
            self.set_len(end);
        }
        let mut at = offset;
        while at < end {
            let len = (PAGE - at % PAGE).min(end - at);
            let part = &bytes[at - offset..at - offset + len];
            if len == PAGE && part.iter().all(|byte| *byte == 0) {
                self.pages[at / PAGE] = Arc::clone(&ZEROS);
            } else {
                self.page(at / PAGE)[at % PAGE..at % PAGE + len].copy_from_slice(part);
            }
            at += len;
        }
    }

    /// Reads up to `buffer.len()` bytes; fewer only at the end.
    pub(super) fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let start = offset.min(self.len);
        let end = start.saturating_add(buffer.len()).min(self.len);
        let mut at = start;
        while at < end {
            let len = (PAGE - at % PAGE).min(end - at);
            let page = &self.pages[at / PAGE].bytes[at % PAGE..at % PAGE + len];
            buffer[at - start..at - start + len].copy_from_slice(page);
            at += len;
        }
        end - start
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes);
        bytes
    }

    pub(super) fn flip(&mut self, offset: usize, bit: u8) {
        if offset < self.len {
            self.page(offset / PAGE)[offset % PAGE] ^= 1 << (bit % 8);
        }
    }

    /// Feeds what tells these bytes from others.
    pub(super) fn digest(&self, hasher: &mut DefaultHasher) {
        hasher.write_usize(self.len);
        for page in &self.pages {
            hasher.write_u64(page.digest());
        }
    }

    fn page(&mut self, number: usize) -> &mut [u8; PAGE] {
        let page = Arc::make_mut(&mut self.pages[number]);
        page.digest.take();
        &mut page.bytes
    }
}
