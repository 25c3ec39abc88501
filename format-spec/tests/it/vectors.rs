//! The golden vectors: regenerated from fixed inputs, equal byte for byte, and read back. Those of a
//! released format are never written again; a later format gets a directory of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::{self, FrameHeader, HEADER_BYTES, Position};
use turnleaf_format::journal::{Begun, JournalHeader};
use turnleaf_format::record::{Entries, Entry, payload_crc};
use turnleaf_format::segment::{BlockHeader, Class, Codec, Footer, SegmentHeader, Trailer};
use turnleaf_format::{Format, Generation, Problem, SegmentId, StoreId};

use crate::build::{STORE, Vector, What, of_lineages, vectors};
use crate::files;
use crate::json::Json;

/// A directory of vectors.
struct Set {
    name: &'static str,
    format: Format,
    vectors: Vec<Vector>,
    /// Checksum of names and bytes of all its files.
    released: u32,
}

fn sets() -> [Set; 2] {
    [
        Set {
            name: "v1",
            format: Format::FIRST,
            vectors: vectors(),
            released: 3_099_215_145,
        },
        Set {
            name: "v2",
            format: Format::LINEAGES,
            vectors: of_lineages(),
            released: 1_144_853_739,
        },
    ]
}

impl Set {
    fn directory(&self) -> PathBuf {
        let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
        all.join(self.name)
    }
}

/// The vectors say what a reader of their own format makes of them. [S:version-2]
fn understood(vector: &Vector, readable_by: Format) -> Result<(), Problem> {
    if readable_by > vector.format {
        Err(Problem::Version)
    } else {
        Ok(())
    }
}

/// What a header says; of what a format-1 header asks for nothing was said.
fn with_format(vector: &Vector, json: Json, readable_by: Format) -> Json {
    match json {
        Json::Map(mut fields) if vector.format > Format::FIRST => {
            fields.push(("readable_by", readable_by.0.into()));
            Json::Map(fields)
        }
        other => other,
    }
}

/// What a vector says, or why it is refused.
pub(crate) fn read(vector: &Vector) -> Result<Json, Problem> {
    let bytes = &vector.bytes[..];
    let read = match vector.what {
        What::JournalHeader => {
            let header = JournalHeader::decode(bytes).map_err(|error| error.problem)?;
            let asked = header.version.readable_by;
            understood(vector, asked)?;
            return Ok(with_format(vector, journal_header(&header), asked));
        }
        What::Frame { generation, offset } => {
            let place = Position {
                generation: Generation(generation),
                offset,
            };
            let (header, check) =
                FrameHeader::decode(bytes, STORE, place).map_err(|error| error.problem)?;
            understood(vector, header.readable_by)?;
            let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
            if body.len() != header.body_len as usize || frame::body_crc(body) != header.body_crc {
                return Err(Problem::BodyChecksum);
            }
            let entries = entries(body, header.entry_count)?;
            let json = frame_header(&header, check, entries);
            return Ok(with_format(vector, json, header.readable_by));
        }
        What::Entries { count } => return entries(bytes, count),
        What::SegmentHeader => {
            let header = SegmentHeader::decode(bytes).map_err(|error| error.problem)?;
            let asked = header.version.readable_by;
            understood(vector, asked)?;
            return Ok(with_format(vector, segment_header(&header), asked));
        }
        What::Block { segment, offset } => {
            BlockHeader::decode(bytes, STORE, SegmentId(segment), offset)
                .map(|block| block_of(&block))
        }
        What::Footer => Footer::decode(bytes).map(|footer| footer_of(&footer)),
        What::Trailer { file_len } => {
            let trailer = Trailer::decode(bytes, file_len).map_err(|error| error.problem)?;
            let asked = trailer.version.readable_by;
            understood(vector, asked)?;
            return Ok(with_format(vector, trailer_of(&trailer), asked));
        }
        What::Catalogue { kind } => {
            CatalogueRecord::decode(kind, bytes).map(|record| catalogue(&record))
        }
        What::JournalFile => return files::journal(bytes),
        What::SegmentFile { segment } => return files::segment(bytes, SegmentId(segment)),
    };
    read.map_err(|error| error.problem)
}

fn store_id(store: StoreId) -> Json {
    Json::bytes(&store.0)
}

pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::Run => "run",
        Class::Pack => "pack",
        Class::Catalogue => "catalogue",
    }
}

pub(crate) fn position(position: Position) -> Json {
    Json::List(vec![position.generation.0.into(), position.offset.into()])
}

pub(crate) fn journal_header(header: &JournalHeader) -> Json {
    let begun = match header.begun {
        Begun::First => "first",
        Begun::Full => "full",
        Begun::Opened => "opened",
        Begun::Failed => "failed",
    };
    Json::Map(vec![
        ("store_id", store_id(header.store)),
        ("generation", header.generation.0.into()),
        ("capacity", header.capacity.into()),
        ("epoch", header.epoch.into()),
        ("oldest_live", header.oldest_live.0.into()),
        ("previous_end", position(header.previous_end)),
        ("previous_chain", Json::hex(header.previous_chain.0)),
        ("begun", Json::text(begun)),
        ("catalogue_sealed_end", header.catalogue_sealed_end.0.into()),
        ("catalogue_chain", Json::hex(header.catalogue_chain.0)),
        ("created_ms", header.created_ms.into()),
    ])
}

fn segment_header(header: &SegmentHeader) -> Json {
    Json::Map(vec![
        ("store_id", store_id(header.store)),
        ("segment", header.segment.0.into()),
        ("class", Json::text(class(header.class))),
        ("created_ms", header.created_ms.into()),
    ])
}

fn trailer_of(trailer: &Trailer) -> Json {
    Json::Map(vec![
        ("store_id", store_id(trailer.store)),
        ("segment", trailer.segment.0.into()),
        ("footer_offset", trailer.footer_offset.into()),
        ("footer_len", trailer.footer_len.into()),
        ("footer_crc", Json::hex(trailer.footer_crc.into())),
        ("digest", Json::bytes(&trailer.digest)),
    ])
}

fn frame_header(header: &FrameHeader, check: u32, entries: Json) -> Json {
    Json::Map(vec![
        ("thread", header.thread.0.into()),
        ("first_ordinal", header.first_ordinal.0.into()),
        ("entry_count", header.entry_count.into()),
        ("body_len", header.body_len.into()),
        ("durable_upto", position(header.durable_upto)),
        ("epoch", header.epoch.into()),
        ("journal_chain", Json::hex(header.journal_chain.0)),
        ("thread_chain", Json::hex(header.thread_chain.0)),
        ("body_crc", Json::hex(header.body_crc.into())),
        ("header_crc", Json::hex(check.into())),
        ("marker", Json::Bool(header.is_marker())),
        ("stride", header.stride().into()),
        ("entries", entries),
    ])
}

fn entries(bytes: &[u8], count: u32) -> Result<Json, Problem> {
    let entries: Result<Vec<_>, _> = Entries::new(bytes, count)
        .map(|entry| entry.map(|entry| entry_of(&entry)))
        .collect();
    entries.map(Json::List).map_err(|error| error.problem)
}

fn entry_of(entry: &Entry<'_>) -> Json {
    let mut fields = vec![
        ("kind", entry.kind.0.into()),
        ("flags", entry.flags.bits().into()),
        ("timestamp_ms", entry.timestamp_ms.into()),
        ("len", entry.bytes.len().into()),
        ("crc", Json::hex(entry.crc.into())),
    ];
    if entry.bytes.len() <= 64 {
        fields.push(("payload", Json::bytes(entry.bytes)));
    }
    if let Some(chunk) = entry.chunk {
        fields.push(("chunk_offset", chunk.offset.into()));
        fields.push(("last", Json::Bool(chunk.last.is_some())));
        fields.extend(chunk.last.map(|crc| ("record_crc", Json::hex(crc.into()))));
    }
    Json::Map(fields)
}

fn block_of(block: &BlockHeader) -> Json {
    Json::Map(vec![
        (
            "codec",
            Json::text(if block.codec == Codec::Raw {
                "raw"
            } else {
                "zstd"
            }),
        ),
        ("thread", block.thread.0.into()),
        ("first_ordinal", block.first_ordinal.0.into()),
        ("entry_count", block.entry_count.into()),
        ("raw_len", block.raw_len.into()),
        ("stored_len", block.stored_len.into()),
        ("stored_crc", Json::hex(block.stored_crc.into())),
        ("chain", Json::hex(block.chain.0)),
    ])
}

fn footer_of(footer: &Footer) -> Json {
    let runs = footer.runs.iter().map(|run| {
        Json::Map(vec![
            ("thread", run.thread.0.into()),
            ("first_ordinal", run.first_ordinal.0.into()),
            ("ordinal_end", run.ordinal_end.0.into()),
            ("chain_before", Json::hex(run.chain_before.0)),
            ("chain_after", Json::hex(run.chain_after.0)),
            ("first_block", run.first_block.into()),
            ("block_count", run.block_count.into()),
            ("payload_bytes", run.payload_bytes.into()),
            ("notes_offset", run.notes_offset.into()),
            ("notes_len", run.notes_len.into()),
            ("notes_crc", Json::hex(run.notes_crc.into())),
        ])
    });
    let blocks = footer.blocks.iter().map(|block| {
        Json::Map(vec![
            ("offset", block.offset.into()),
            ("first_ordinal", block.first_ordinal.0.into()),
            ("stored_len", block.stored_len.into()),
            ("raw_len", block.raw_len.into()),
            ("entry_count", block.entry_count.into()),
            ("continues", Json::Bool(block.continues)),
        ])
    });
    Json::Map(vec![
        ("runs", Json::List(runs.collect())),
        ("blocks", Json::List(blocks.collect())),
    ])
}

fn catalogue(record: &CatalogueRecord) -> Json {
    let (name, mut fields) = match record {
        CatalogueRecord::StoreCreated { store, at_ms } => (
            "store_created",
            vec![("store_id", store_id(*store)), ("at_ms", (*at_ms).into())],
        ),
        CatalogueRecord::ThreadCreated { thread, id, at_ms }
        | CatalogueRecord::ThreadCreatedAgain { thread, id, at_ms } => {
            let fields = vec![
                ("thread", thread.0.into()),
                ("id", Json::text(id.as_str())),
                ("at_ms", (*at_ms).into()),
            ];
            let is_again = matches!(record, CatalogueRecord::ThreadCreatedAgain { .. });
            let name = ["thread_created", "thread_created_again"][usize::from(is_again)];
            (name, fields)
        }
        CatalogueRecord::SegmentPublished {
            segment,
            class: of,
            file_bytes,
            digest,
            runs,
        } => {
            let runs = runs.iter().map(|run| {
                Json::Map(vec![
                    ("thread", run.thread.0.into()),
                    ("first_ordinal", run.first_ordinal.0.into()),
                    ("ordinal_end", run.ordinal_end.0.into()),
                    ("chain_before", Json::hex(run.chain_before.0)),
                    ("chain_after", Json::hex(run.chain_after.0)),
                    ("payload_bytes", run.payload_bytes.into()),
                ])
            });
            let fields = vec![
                ("segment", segment.0.into()),
                ("class", Json::text(class(*of))),
                ("file_bytes", (*file_bytes).into()),
                ("digest", Json::bytes(digest)),
                ("runs", Json::List(runs.collect())),
            ];
            ("segment_published", fields)
        }
        CatalogueRecord::Replaced { old, thread, new } => {
            let fields = vec![
                ("old", old.0.into()),
                ("thread", thread.0.into()),
                ("new", new.0.into()),
            ];
            ("replaced", fields)
        }
        CatalogueRecord::Archived {
            thread,
            archived,
            at_ms,
        } => {
            let name = if *archived { "archived" } else { "unarchived" };
            (
                name,
                vec![("thread", thread.0.into()), ("at_ms", (*at_ms).into())],
            )
        }
        CatalogueRecord::Deleted { thread, at_ms } => (
            "deleted",
            vec![("thread", thread.0.into()), ("at_ms", (*at_ms).into())],
        ),
        CatalogueRecord::Purged { thread, at_ms } => (
            "purged",
            vec![("thread", thread.0.into()), ("at_ms", (*at_ms).into())],
        ),
        CatalogueRecord::Import {
            thread,
            source_bytes,
            ordinal_end,
            file_bytes,
            modified_ns,
            path,
        } => {
            let fields = vec![
                ("thread", thread.0.into()),
                ("source_bytes", (*source_bytes).into()),
                ("ordinal_end", ordinal_end.0.into()),
                ("file_bytes", (*file_bytes).into()),
                ("modified_ns", (*modified_ns).into()),
                ("path", Json::text(path)),
            ];
            ("import", fields)
        }
        CatalogueRecord::Lost(lost) => {
            let fields = vec![
                ("thread", lost.thread.0.into()),
                ("first_ordinal", lost.first_ordinal.0.into()),
                ("ordinal_end", lost.ordinal_end.0.into()),
                ("chain_after", Json::hex(lost.chain_after.0)),
                ("at_ms", lost.at_ms.into()),
            ];
            ("lost", fields)
        }
        CatalogueRecord::JournalLost(lost) => {
            let fields = vec![
                ("generation", lost.generation.0.into()),
                ("offset", lost.offset.into()),
                ("end", lost.end.into()),
                ("at_ms", lost.at_ms.into()),
            ];
            ("journal_lost", fields)
        }
        CatalogueRecord::Epoch {
            epoch,
            at_ms,
            pid,
            host,
        } => {
            let fields = vec![
                ("epoch", (*epoch).into()),
                ("at_ms", (*at_ms).into()),
                ("pid", (*pid).into()),
                ("host", Json::text(host)),
            ];
            ("epoch", fields)
        }
        CatalogueRecord::RolloutCreated {
            rollout,
            thread,
            id,
            at_ms,
        } => {
            let fields = vec![
                ("rollout", rollout.0.into()),
                ("thread", thread.0.into()),
                ("id", Json::text(id.as_str())),
                ("at_ms", (*at_ms).into()),
            ];
            ("rollout_created", fields)
        }
        CatalogueRecord::Based {
            rollout,
            base,
            at_ms,
        } => {
            let fields = vec![
                ("rollout", rollout.0.into()),
                ("base", base.rollout.0.into()),
                ("base_end", base.end.0.into()),
                ("base_chain", Json::hex(base.chain.0)),
                ("at_ms", (*at_ms).into()),
            ];
            ("based", fields)
        }
        CatalogueRecord::Awaits { rollout, awaited } => {
            let fields = vec![
                ("rollout", rollout.0.into()),
                ("stated_end", awaited.stated_end.into()),
                ("stated_bytes", awaited.stated_bytes.into()),
                ("base_id", Json::text(awaited.id.as_str())),
            ];
            ("awaits", fields)
        }
        CatalogueRecord::Current {
            thread,
            rollout,
            at_ms,
        } => {
            let fields = vec![
                ("thread", thread.0.into()),
                ("rollout", rollout.0.into()),
                ("at_ms", (*at_ms).into()),
            ];
            ("current", fields)
        }
        CatalogueRecord::Unknown { kind } => ("unknown", vec![("kind", kind.0.into())]),
    };
    fields.insert(0, ("record", Json::text(name)));
    Json::Map(fields)
}

fn reason(problem: Problem) -> &'static str {
    match problem {
        Problem::Short => "short",
        Problem::Magic => "magic",
        Problem::HeaderChecksum => "header checksum",
        Problem::BodyChecksum => "body checksum",
        Problem::Place => "place",
        Problem::Version => "version",
        Problem::Length => "length",
        Problem::Reserved => "reserved",
        Problem::Trailing => "trailing",
        Problem::Text => "text",
    }
}

fn described(vector: &Vector) -> Json {
    let (structure, place) = match vector.what {
        What::JournalHeader => ("journal header", vec![]),
        What::Frame { generation, offset } => (
            "frame",
            vec![("generation", generation.into()), ("offset", offset.into())],
        ),
        What::Entries { count } => ("entries", vec![("count", count.into())]),
        What::SegmentHeader => ("segment header", vec![]),
        What::Block { segment, offset } => (
            "block header",
            vec![("segment", segment.into()), ("offset", offset.into())],
        ),
        What::Footer => ("footer", vec![]),
        What::Trailer { file_len } => ("trailer", vec![("file_len", file_len.into())]),
        What::Catalogue { kind } => ("catalogue record", vec![("kind", kind.0.into())]),
        What::JournalFile => ("journal file", vec![]),
        What::SegmentFile { segment } => ("segment file", vec![("segment", segment.into())]),
    };
    let mut fields = vec![
        ("file", Json::Text(format!("{}.bin", vector.name))),
        ("about", Json::text(vector.about)),
        ("structure", Json::text(structure)),
        ("place", Json::Map(place)),
    ];
    match read(vector) {
        Ok(value) => fields.push(("expect", value)),
        Err(problem) => fields.push(("refused", Json::text(reason(problem)))),
    }
    Json::Map(fields)
}

fn index(set: &Set) -> String {
    let vectors = set.vectors.iter().map(described);
    let index = Json::Map(vec![
        ("format", set.format.0.into()),
        ("state", Json::text(set.name)),
        ("store_id", store_id(STORE)),
        ("vectors", Json::List(vectors.collect())),
    ]);
    index.pretty()
}

#[test]
fn vectors_are_what_this_build_writes() {
    for set in sets() {
        let names = set.vectors.iter();
        let names = names.map(|vector| format!("{}.bin", vector.name));
        let mut expected: BTreeSet<String> = names.collect();
        assert_eq!(expected.len(), set.vectors.len(), "names are unique");
        expected.insert("index.json".to_owned());
        let found = fs::read_dir(set.directory()).unwrap();
        let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(found.collect::<BTreeSet<_>>(), expected);
        for vector in &set.vectors {
            let path = set.directory().join(format!("{}.bin", vector.name));
            let stored = fs::read(path).unwrap();
            assert!(stored == vector.bytes, "{} changed", vector.name);
        }
        let stored = fs::read_to_string(set.directory().join("index.json")).unwrap();
        assert!(stored == index(&set), "index.json of {} changed", set.name);
    }
}

/// Names and bytes of all released vectors; the sum is written down once.
#[test]
fn released_vectors_never_change() {
    for set in sets() {
        let found = fs::read_dir(set.directory()).unwrap();
        let mut files: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut all = Vec::new();
        for path in files {
            let bytes = fs::read(&path).unwrap();
            all.extend_from_slice(path.file_name().unwrap().as_encoded_bytes());
            all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            all.extend_from_slice(&bytes);
        }
        assert_eq!(payload_crc(&all), set.released, "{} is released", set.name);
    }
}

#[test]
fn vectors_are_read_or_refused_as_meant() {
    for vector in sets().into_iter().flat_map(|set| set.vectors) {
        assert_eq!(read(&vector).err(), vector.refused, "{}", vector.name);
    }
}
