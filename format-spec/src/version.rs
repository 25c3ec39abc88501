//! Owns the numbers of formats: which one a structure asks its readers for. It must not know the
//! structures.

/// The number of a format. A reader of one understands the formats before it. [S:version-2]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Format(pub u8);

impl Format {
    /// The first one: threads of one rollout each.
    pub const FIRST: Format = Format(1);
    /// Rollouts that go on from others. [S:lineage-1]
    pub const LINEAGES: Format = Format(2);
}

/// What a file header says of formats. [S:version-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// The format of the writer; no reader decides by it. [S:version-1]
    pub written_by: Format,
    /// The oldest format whose readers understand the structure. [S:version-2]
    pub readable_by: Format,
}

impl Version {
    /// What this build writes into a header that asks for readers of `readable_by`.
    #[must_use]
    pub const fn asking_for(readable_by: Format) -> Version {
        Version {
            written_by: crate::FORMAT_WRITTEN_BY,
            readable_by,
        }
    }

    /// Its bytes in a header.
    pub(crate) fn bytes(self) -> [u8; 2] {
        [self.written_by.0, self.readable_by.0]
    }
}
