//! Owns the seeds of the corpora: made when they are asked for, from the vectors of the format, the
//! shared rollouts and what this build writes, so that no copy of them is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use turnleaf_engine::disk::{Disk, EntryKind};
use turnleaf_engine::{NewRecord, Options, SealGoal};
use turnleaf_format::ThreadId;
use turnleaf_format::record::{Flags, Kind};
use turnleaf_projector::codec;
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::notes::Notes;
use turnleaf_projector::payload::decode as decode_line;

use super::{append_stream, decode, files, journal_naive};
use crate::projection::fold;
use crate::rng::Rng;
use crate::rollouts::{Rollout, RolloutMode};
use crate::sim_disk::SimDisk;
use crate::soup;
use crate::stores::open_log;

/// A name and the bytes.
pub type Seed = (String, Vec<u8>);

/// A rollout longer than this seeds nothing: mutations of small ones reach as far, faster.
const ROLLOUT_BYTES_MAX: usize = 8 << 10;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder of a target's regressions: inputs that broke a law once.
#[must_use]
pub fn regressions(target: &str) -> PathBuf {
    root().join("fuzz/regressions").join(target)
}

/// The seeds of a target; unknown targets have none.
///
/// # Panics
/// When the vectors cannot be read.
#[must_use]
pub fn of(target: &str) -> Vec<Seed> {
    match target {
        "decode" => pieces(),
        "files" => whole_files(),
        "rows" => rows(),
        "token" => noise(0x70, 64, 40),
        "projection" => threads(),
        "import" => lines(&[200, 0]),
        "ops" => [noise(0x0b, 96, 160), lineages()].concat(),
        "append_stream" => streams(),
        _ => Vec::new(),
    }
}

/// Lines of a thread of so many turns, each with a message of the user and one of the agent.
#[must_use]
pub fn small_thread(id: &str, turns: u32) -> Vec<String> {
    let line = |second: u32, kind: &str, payload: String| {
        let minute = second / 60;
        let at = format!("2026-01-01T00:{:02}:{:02}.000Z", minute % 60, second % 60);
        format!("{{\"timestamp\":\"{at}\",\"type\":\"{kind}\",\"payload\":{payload}}}")
    };
    let head = format!(
        "{{\"id\":\"{id}\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"cwd\":\"/w\",\
         \"originator\":\"t\",\"cli_version\":\"0\",\"source\":\"cli\",\"model_provider\":null}}"
    );
    let mut lines = vec![line(0, "session_meta", head)];
    for turn in 0..turns {
        let events = [
            format!("\"task_started\",\"turn_id\":\"{id}-{turn}\",\"model_context_window\":null"),
            format!(
                "\"user_message\",\"message\":\"ask {turn}\",\"local_images\":[],\
                 \"text_elements\":[]"
            ),
            format!("\"agent_message\",\"message\":\"answer {turn}\""),
            format!("\"task_complete\",\"turn_id\":\"{id}-{turn}\",\"last_agent_message\":null"),
        ];
        let events = events.map(|event| format!("{{\"type\":{event}}}"));
        lines.extend(events.map(|event| line(turn, "event_msg", event)));
    }
    lines
}

/// The vectors: name without its ending, bytes.
fn vectors() -> Vec<Seed> {
    let dir = root().join("format-spec/vectors/v1");
    let entries = fs::read_dir(dir).expect("the vectors are at hand");
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a folder is read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|end| end == "bin") {
            let bytes = fs::read(&path).expect("a vector is read");
            found.push((name.into_owned(), bytes));
        }
    }
    found.sort();
    found
}

fn seed(name: &str, head: &[u8], bytes: &[u8]) -> Seed {
    (name.to_owned(), [head, bytes].concat())
}

fn is_journal_file(name: &str) -> bool {
    name.starts_with("journal-") && !name.starts_with("journal-header")
}

fn is_segment_file(name: &str) -> bool {
    name.starts_with("segment-") && !name.starts_with("segment-header")
}

fn pieces() -> Vec<Seed> {
    let choices = [
        ("entry-", 0, 5),
        ("frame-", 1, 0),
        ("journal-header", 2, 0),
        ("segment-header", 3, 0),
        ("block-header", 4, 0),
        ("footer", 5, 0),
        ("trailer", 6, 0),
    ];
    let mut seeds = Vec::new();
    for (name, bytes) in vectors() {
        let choice = choices.iter().find(|(begin, _, _)| name.starts_with(begin));
        if let Some((_, choice, argument)) = choice {
            seeds.push(seed(&name, &[*choice, *argument], &bytes));
            let repaired = choice | decode::REPAIRED;
            seeds.push(seed(
                &format!("{name}-repaired"),
                &[repaired, *argument],
                &bytes,
            ));
        }
        if name.starts_with("catalogue-") {
            let kinds = (128..=138).map(|kind| seed(&format!("{name}-{kind}"), &[7, kind], &bytes));
            seeds.extend(kinds);
        }
    }
    seeds
}

/// A journal file as its input: header, frames, without the zeros behind them.
fn journal_input(flags: u8, file: &[u8]) -> Vec<u8> {
    let head = &file[..file.len().min(512)];
    let frames = file.get(journal_naive::FRAMES..).unwrap_or_default();
    let used = frames
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let used = used.next_multiple_of(8).min(frames.len());
    let second = file.get(4096..4096 + 512).unwrap_or_default();
    if flags & files::TWO_COPIES == 0 {
        [&[flags][..], head, &frames[..used]].concat()
    } else {
        [&[flags][..], head, second, &frames[..used]].concat()
    }
}

fn whole_files() -> Vec<Seed> {
    let mut all = vectors();
    all.retain(|(name, _)| is_journal_file(name) || is_segment_file(name));
    all.extend(written_files());
    let mut seeds = Vec::new();
    for (name, bytes) in all {
        for (kind, flags) in [
            ("plain", 0),
            ("repaired", files::REPAIRED),
            (
                "other",
                files::REPAIRED | files::TWO_COPIES | files::NO_TABLES,
            ),
        ] {
            let input = if is_journal_file(&name) {
                journal_input(flags | files::JOURNAL, &bytes)
            } else {
                [&[flags], &bytes[..]].concat()
            };
            seeds.push((format!("{name}-{kind}"), input));
        }
    }
    seeds
}

/// The files of a small store that this build writes.
fn written_files() -> Vec<Seed> {
    let disk = SimDisk::new();
    let options = Options {
        journal_first_bytes: 16 << 10,
        journal_file_bytes: 16 << 10,
        seal_bytes_min: 1 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    let (mut log, _) = open_log(&disk, options).expect("memory");
    for (name, records) in [("a", 9_usize), ("b", 2), ("c", 3)] {
        let id = ThreadId::parse(name).expect("an id");
        let (thread, _) = log.stage_thread(&id).expect("a new thread");
        for number in 0..records {
            let bytes = format!("{name}{number} ").repeat(1 + number * number * 7);
            let record = NewRecord {
                kind: Kind::LINE,
                flags: Flags::NONE,
                timestamp_ms: 1,
                bytes: bytes.as_bytes(),
            };
            log.stage(thread, None, &[record]).expect("room");
            log.commit_all();
        }
    }
    let mut seeds = files_of(&disk, "begun");
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        log.finish_seal(done).expect("memory");
        log.commit_all();
    }
    log.close().expect("memory");
    seeds.extend(files_of(&disk, "sealed"));
    seeds
}

fn files_of(disk: &SimDisk, when: &str) -> Vec<Seed> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut seeds = Vec::new();
    for (dir, kind) in [
        ("journal", "journal"),
        ("segments", "segment"),
        ("catalogue", "segment"),
    ] {
        for entry in disk.list(dir).expect("memory") {
            if entry.kind != EntryKind::File {
                continue;
            }
            let path = format!("{dir}/{}", entry.name);
            let file = disk
                .open(&path, turnleaf_engine::disk::Access::Read)
                .expect("memory");
            let len = usize::try_from(file.len().expect("memory")).expect("small");
            let mut bytes = vec![0; len];
            file.read_at(0, &mut bytes).expect("memory");
            seeds.push((format!("{kind}-{when}-{}", entry.name), bytes));
        }
    }
    seeds
}

/// The shared rollouts, where they are at hand.
fn shared_rollouts() -> Vec<Seed> {
    let Ok(entries) = root().join("../shared/conformance/dev").read_dir() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let plain = fs::read(entry.path().join("rollout.jsonl")).or_else(|_| {
            let packed = entry.path().join("rollout.jsonl.gz");
            let unpacked = Command::new("gzip").arg("-dc").arg(packed).output();
            unpacked.map(|unpacked| unpacked.stdout)
        });
        found.extend(plain.ok().map(|plain| (name, plain)));
    }
    found.sort();
    found
}

/// Beginnings of what any clone has: the samples, and rollouts that are made here.
fn own_rollouts() -> Vec<Seed> {
    let mut found = Vec::new();
    for name in ["legacy", "damaged", "paginated"] {
        let path = root().join(format!("samples/{name}.jsonl"));
        found.push((format!("sample-{name}"), fs::read(path).expect("a sample")));
    }
    for (name, mode) in [
        ("legacy", RolloutMode::Legacy),
        ("paginated", RolloutMode::Paginated),
    ] {
        for number in [7, 8, 9] {
            let mut plain = Vec::new();
            let written = Rollout::new(mode, number, 4 << 10).write(&mut plain);
            written.expect("memory");
            found.push((format!("rollout-{name}-{number}"), plain));
        }
    }
    for (_, plain) in &mut found {
        // The shortest that is made is longer than a seed may be.
        if plain.len() > ROLLOUT_BYTES_MAX {
            let kept = &plain[..ROLLOUT_BYTES_MAX];
            let line_end = kept.iter().rposition(|byte| *byte == b'\n');
            plain.truncate(line_end.map_or(ROLLOUT_BYTES_MAX, |at| at + 1));
        }
    }
    found
}

fn rollouts() -> Vec<Seed> {
    let mut found = shared_rollouts();
    found.extend(own_rollouts());
    for number in 0..16 {
        found.push((
            format!("soup-{number}"),
            soup::thread(number, 12).join(&b'\n'),
        ));
    }
    found.retain(|(_, plain)| plain.len() <= ROLLOUT_BYTES_MAX);
    found
}

fn lines(head: &[u8]) -> Vec<Seed> {
    let all = rollouts().into_iter();
    all.map(|(name, plain)| seed(&name, head, &plain)).collect()
}

/// Feeding an index takes long; one in eight is worth it.
fn threads() -> Vec<Seed> {
    let all = rollouts().into_iter().enumerate();
    let head = |at: usize| if at.is_multiple_of(8) { [0] } else { [77] };
    all.map(|(at, (name, plain))| seed(&name, &head(at), &plain))
        .collect()
}

fn streams() -> Vec<Seed> {
    let head = "{\"type\":\"session_meta\",\"payload\":{\"id\":\"fuzz\"}}\n";
    let texts = [
        ("empty", ""),
        ("one", "{}"),
        ("lines", "a\nb\r\n\n\n c\n\0d"),
        ("head", head),
        ("long", "\u{1}\n\u{1}\u{1}\n\u{1}"),
    ];
    let mut seeds = Vec::new();
    for (name, text) in texts {
        for flags in [0, append_stream::CREATE, 2, 4, 8, 16, 31] {
            let text = [head, text].concat();
            let input = seed(&format!("{name}-{flags}"), &[2, 3, flags], text.as_bytes());
            seeds.push(input);
        }
    }
    for (name, plain) in rollouts() {
        seeds.push(seed(&name, &[7, 200, 0], &plain));
    }
    seeds
}

fn rows() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, plain) in rollouts() {
        let lines: Vec<Vec<u8>> = plain
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let whole = fold(&lines, ThreadState::default());
        if let Ok(state) = codec::encode(&whole.state) {
            seeds.push(seed(&format!("{name}-state"), &[3], &state));
        }
        for (at, row) in whole.rows.turns().take(3) {
            let bytes = codec::encode(row).expect("a small row");
            seeds.push(seed(&format!("{name}-turn-{at}"), &[0], &bytes));
        }
        for (at, row) in whole.rows.items().take(6) {
            let bytes = codec::encode(row).expect("a small row");
            seeds.push(seed(&format!("{name}-item-{at}"), &[1], &bytes));
        }
        let some = &lines[..lines.len().min(40)];
        let mut notes = Notes::default();
        some.iter().for_each(|line| notes.push(&decode_line(line)));
        let count = u8::try_from(some.len()).unwrap_or(u8::MAX);
        seeds.push(seed(
            &format!("{name}-notes"),
            &[4, count],
            &notes.finish()[12..],
        ));
    }
    seeds
}

/// Inputs of a target whose bytes are choices.
/// Operations among which forks, reverts and deletions are frequent.
fn lineages() -> Vec<Seed> {
    let mut seeds = noise(0x0c, 64, 160);
    for (name, bytes) in &mut seeds {
        name.insert_str(0, "lineage-");
        for byte in bytes.iter_mut().filter(|byte| **byte >= 0xd0) {
            *byte = [super::ops::FORKS, super::ops::REVERTS, super::ops::DELETES]
                [usize::from(*byte % 8).min(2)];
        }
    }
    seeds
}

fn noise(salt: u64, count: u64, len: u64) -> Vec<Seed> {
    let input = |number: u64| {
        let mut rng = Rng::new(salt << 32 | number);
        let len = 4 + rng.below(len);
        let bytes = (0..len).map(|_| rng.number().to_le_bytes()[0]).collect();
        (format!("seed-{number}"), bytes)
    };
    (0..count).map(input).collect()
}
