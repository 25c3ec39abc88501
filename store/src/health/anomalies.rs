//! Owns the names of anomalies, for programs, and their explanations, for people.

use turnleaf_engine::format::Ordinal;
use turnleaf_projector::fold::{Anomaly, AnomalyClass, AnomalyKind};

use turnleaf_projector::payload::Rejection;

/// One kind of anomaly of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnomalyCount {
    /// What the anomaly is, as a name for programs.
    pub reason: String,
    /// Of a single record whose kind is not known: which kind that is.
    pub kind: Option<String>,
    /// How often.
    pub count: u64,
    /// Ordinal of the first.
    pub first: Ordinal,
    /// Whether it is a kind that this version does not know, or something is wrong.
    pub class: AnomalyClass,
    /// What it means, and what can be done.
    pub meaning: &'static str,
}

pub(crate) fn anomaly_count(anomaly: &Anomaly) -> AnomalyCount {
    let reason = match anomaly.kind {
        AnomalyKind::Rejected(Rejection::HeadLacks(lack)) => {
            format!("rejected: session_meta with {lack}")
        }
        AnomalyKind::Rejected(rejection) => format!("rejected: {}", rejected(rejection)),
        AnomalyKind::OrdinalGap => "gap before an upstream ordinal".into(),
        AnomalyKind::OrdinalRepeated => "upstream ordinal repeated".into(),
        AnomalyKind::OrdinalMissing => "upstream ordinal missing".into(),
        AnomalyKind::Timestamp => "timestamp not readable".into(),
        AnomalyKind::AfterLineEnd => "bytes after the end of a line".into(),
        AnomalyKind::UnknownTurn => "item of an unknown turn".into(),
        AnomalyKind::PassedBy => "not taken by the index".into(),
    };
    AnomalyCount {
        reason,
        kind: None,
        count: anomaly.count,
        first: anomaly.first.0,
        class: anomaly.kind.class(),
        meaning: meaning(anomaly.kind),
    }
}

/// For people; none of it stops a thread, and an export gives every byte back.
fn meaning(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::Rejected(rejection) => match rejection {
            Rejection::NotUtf8 => {
                "bytes that are no text: often a damaged disk or a cut write; kept, not shown"
            }
            Rejection::NotJson => {
                "a line that was cut, or two that ran into each other: often a crash while the \
                 agent wrote; kept, not shown"
            }
            Rejection::NoEnvelope => {
                "JSON without type and payload: files of 2025 and before have such lines; kept, \
                 not shown"
            }
            Rejection::NoTimestamp => {
                "a record without a timestamp: the agent's own readers pass it by, too; kept, not \
                 shown"
            }
            Rejection::TimestampType => {
                "a record whose timestamp is no text, such as a number: the agent's own readers \
                 pass it by, too; kept, not shown"
            }
            Rejection::UnknownType | Rejection::UnknownEvent | Rejection::UnknownItem => {
                "written by a newer agent, or a damaged name; kept, and shown by a version that \
                 knows it after `rebuild-index`"
            }
            Rejection::Payload => {
                "a known record whose fields have another shape; kept, not shown: the agent's own \
                 readers pass it by, too"
            }
            Rejection::HeadLacks(_) => {
                "the agent refuses a file with such a head; here it says whose the file is, \
                 and the records behind it are shown"
            }
            Rejection::TooLarge => {
                "over 64 MiB and no compaction: kept and exported, not shown; only its type, time \
                 and ordinal are read"
            }
        },
        AnomalyKind::OrdinalGap => {
            "the agent skipped numbers, or records were removed before the import; the order here \
             is that of the file"
        }
        AnomalyKind::OrdinalRepeated => {
            "two writers, or a copied file: the agent's own index stops at such a record; here all \
             are shown in the order of the file"
        }
        AnomalyKind::OrdinalMissing => {
            "an agent without ordinals wrote to a paginated thread; shown in the order of the file"
        }
        AnomalyKind::Timestamp => "not a time that can be read; the record is shown without one",
        AnomalyKind::AfterLineEnd => {
            "a capture ended within a line that was already whole; what follows in that line has \
             no meaning and is kept"
        }
        AnomalyKind::UnknownTurn => "the item is not shown, because its turn is not known",
        AnomalyKind::PassedBy => "a mistake of this version; kept and exported, not shown",
    }
}

fn rejected(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::NotUtf8 => "not UTF-8",
        Rejection::NotJson => "not JSON",
        Rejection::NoEnvelope => "no envelope",
        Rejection::UnknownType => "unknown type",
        Rejection::UnknownEvent => "unknown event",
        Rejection::UnknownItem => "unknown item",
        Rejection::Payload => "payload of another shape",
        Rejection::HeadLacks(_) => "head that lacks a field",
        Rejection::TooLarge => "too large to be parsed",
        Rejection::NoTimestamp => "no timestamp",
        Rejection::TimestampType => "timestamp that is no text",
    }
}
