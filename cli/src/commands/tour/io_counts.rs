//! Owns what the system counts of the bytes that a process reads and writes.

/// Bytes that went through the system's read and write calls, of whatever files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IoCounts {
    pub(super) read: u64,
    pub(super) written: u64,
}

impl IoCounts {
    /// What this process has moved so far; `None` where the system does not say.
    pub(super) fn now() -> Option<IoCounts> {
        IoCounts::parse(&std::fs::read_to_string("/proc/self/io").ok()?)
    }

    fn parse(text: &str) -> Option<IoCounts> {
        let count = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Some(IoCounts {
            read: count("rchar:")?,
            written: count("wchar:")?,
        })
    }

    /// What was moved since `earlier`.
    pub(super) fn since(self, earlier: IoCounts) -> IoCounts {
        IoCounts {
            read: self.read.saturating_sub(earlier.read),
            written: self.written.saturating_sub(earlier.written),
        }
    }
}

#[cfg(test)]
mod tests;
