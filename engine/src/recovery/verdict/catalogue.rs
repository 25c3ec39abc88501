//! Owns the verdicts about the catalogue's records (RECOVERY.md section 6): which segments they are
//! read from, how far they reach, and whether one fits those before it.

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::{DecodeError, StoreId};

/// A reading of the catalogue without the segments that another reading met damage in, beside that
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Without {
    /// It meets only damage that the other one met, too.
    pub(crate) meets_no_more: bool,
    /// It reaches as far, or farther.
    pub(crate) reaches: bool,
}

/// Which segments the catalogue is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    All,
    /// A segment that met damage is not used: it costs no record.
    Others,
}

/// The table of readings; `without` where any segment met damage.
pub(crate) fn read_from(without: Option<Without>) -> ReadFrom {
    match without.map(|it| (it.meets_no_more, it.reaches)) {
        // [R:cat-5]
        Some((true, true)) => ReadFrom::Others,
        // No row: nothing is wrong.
        None => ReadFrom::All,
        // Nothing else holds what the segment held: its damage costs records, as cat-2 says.
        Some((false, _) | (true, false)) => ReadFrom::All,
    }
}

/// Whether the chain of the catalogue is the one that the newest header states for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Agrees,
    Differs,
    /// Records before the place are damaged, so that the chain is not known: that damage is told.
    Unknown,
}

/// How the catalogue stands to what the newest header says of its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Its segments reach as far as the header says, without a gap, or farther.
    pub(crate) reaches: bool,
    /// Where they do not, frames of the journal hold what is missing, and nothing is damaged.
    pub(crate) repeated: bool,
    pub(crate) link: Link,
}

/// What is wrong with how far the catalogue reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReachVerdict {
    Good,
    /// The journal has what the segments lack: it costs nothing, and the next header does not count
    /// on them.
    InJournal,
    /// Records are missing: damage that closes the store.
    Missing,
    /// The chain is another one: damage that closes the store.
    OtherChain,
    /// Both.
    MissingAndOtherChain,
}

/// The table of how far the catalogue reaches.
pub(crate) fn reach_verdict(reach: Reach) -> ReachVerdict {
    let Reach {
        reaches,
        repeated,
        link,
    } = reach;
    match (reaches, repeated, link) {
        // [R:cat-1] [R:cat-4]
        (true, _, Link::Agrees | Link::Unknown) => ReachVerdict::Good,
        // [R:cat-3]
        (true, _, Link::Differs) => ReachVerdict::OtherChain,
        // [R:cat-2]
        (false, true, Link::Agrees | Link::Unknown) => ReachVerdict::InJournal,
        (false, false, Link::Agrees | Link::Unknown) => ReachVerdict::Missing,
        // [R:cat-2] and [R:cat-3]: what another history wrote repeats nothing.
        (false, _, Link::Differs) => ReachVerdict::MissingAndOtherChain,
    }
}

/// What a record of the catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Its payload does not have the layout of its kind.
    NotDecoded,
    /// This store was created.
    ThisStore,
    /// A store of another id was created.
    OtherStore,
    /// A kind that this build does not know.
    UnknownKind,
    Other,
}

/// What becomes of a record of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordVerdict {
    /// It says nothing: damage of it, which closes the store.
    Undecoded,
    /// It contradicts those before it, or its place: damage of it, which closes the store.
    Contradicts,
    /// It is kept and reported.
    Kept,
    /// It is added to the sum.
    Added,
}

/// The table of records: `is_first` at ordinal 0; `fits` where the sum of those before takes it.
pub(crate) fn record_verdict(says: Says, is_first: bool, fits: bool) -> RecordVerdict {
    match (says, is_first, fits) {
        // [R:frame-13]
        (Says::NotDecoded, _, _) => RecordVerdict::Undecoded,
        // [R:cat-7]
        (Says::OtherStore, _, _) | (Says::ThisStore, false, _) => RecordVerdict::Contradicts,
        (Says::Other | Says::UnknownKind, true, _) => RecordVerdict::Contradicts,
        // [R:cat-6]
        (Says::ThisStore, true, false) | (Says::Other, false, false) => RecordVerdict::Contradicts,
        // [R:cat-8]
        (Says::UnknownKind, false, _) => RecordVerdict::Kept,
        // No row: nothing is wrong.
        (Says::ThisStore, true, true) | (Says::Other, false, true) => RecordVerdict::Added,
    }
}

impl Says {
    /// What a record says to the catalogue of a store.
    pub(crate) fn of(decoded: Result<&CatalogueRecord, DecodeError>, store: StoreId) -> Says {
        match decoded {
            Err(_) => Says::NotDecoded,
            Ok(CatalogueRecord::StoreCreated { store: of, .. }) if *of == store => Says::ThisStore,
            Ok(CatalogueRecord::StoreCreated { .. }) => Says::OtherStore,
            Ok(CatalogueRecord::Unknown { .. }) => Says::UnknownKind,
            Ok(_) => Says::Other,
        }
    }
}
