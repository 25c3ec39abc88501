//! Owns a program of somebody who embeds the store. It names every type that it holds, and knows the
//! crate `turnleaf` alone; that it compiles is the point.

use std::ops::Range;
use std::path::Path;

use turnleaf::{
    Appended, ContextReport, Damage, Diagnosis, Error, ErrorKind, ForkPoint, GivenUp,
    ImportOutcome, ImportSource, Imported, ItemsView, NamedRepair, Order, Ordinal, Repair,
    SegmentId, ShowThread, Skip, Store, ThreadNumber, ThreadSegment, ThreadSummary, TurnsPage,
    TurnsRequest, Value,
};

const THREAD: &str = "019c0000-0000-7000-8000-000000000001";

/// An agent that writes one thread, and knows where its next batch belongs.
struct Agent {
    store: Store,
    end: Ordinal,
}

impl Agent {
    fn start(dir: &Path) -> Result<Agent, Error> {
        let store = Store::open(dir)?;
        store.create_thread(THREAD)?;
        let end = Ordinal(0);
        Ok(Agent { store, end })
    }

    /// Sends a batch until it is known to be there, and there once.
    fn say(&mut self, lines: &[&str]) -> Result<Range<Ordinal>, Error> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let Appended { first, end, .. } = self.store.append(THREAD, Some(self.end), &lines)?;
        self.end = end;
        Ok(first..end)
    }

    fn newest_turns(&self) -> Result<Vec<Value>, Error> {
        let page: TurnsPage = self.store.turns(&TurnsRequest {
            thread: THREAD.to_owned(),
            cursor: None,
            limit: 20,
            order: Order::Descending,
            items: ItemsView::Full,
        })?;
        let _met: &[Damage] = &page.damage;
        Ok(page.values())
    }
}

/// What a user interface keeps of a store.
#[derive(Default)]
struct Overview {
    threads: Vec<(ThreadNumber, String)>,
    segments: Vec<ThreadSegment>,
    lost: Vec<GivenUp>,
    to_adopt: Vec<SegmentId>,
}

impl Overview {
    fn of(store: &Store) -> Result<Overview, Error> {
        let mut overview = Overview::default();
        for ThreadSummary { id, number, .. } in store.log_threads() {
            let shown: ShowThread = store.show(&id)?;
            overview.segments.extend(shown.segments);
            overview.threads.push((number, id));
        }
        let found: Diagnosis = store.diagnosis();
        overview.lost = found.given_up;
        let adopted = |named: &NamedRepair| match named.repair {
            Repair::AdoptSegment { segment, .. } => Some(segment),
            _ => None,
        };
        overview.to_adopt = found.repairs.iter().filter_map(adopted).collect();
        Ok(overview)
    }
}

fn import(store: &Store, path: &str, bytes: &[u8]) -> Result<Result<Imported, Skip>, Error> {
    let source = ImportSource {
        path,
        thread_hint: None,
        plain: &mut &bytes[..],
        file_bytes: bytes.len() as u64,
        modified_ns: 0,
        archived: false,
    };
    let outcome: ImportOutcome = store.import(source, &mut |_| {})?;
    Ok(outcome.done())
}

#[test]
fn a_program_that_knows_the_facade_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path()).unwrap();
    let started = r#"{"timestamp":"2026-03-02T09:00:00Z","type":"event_msg","payload":{"type":"task_started","turn_id":"t"}}"#;
    let said = r#"{"timestamp":"2026-03-02T09:00:01Z","type":"event_msg","payload":{"type":"user_message","message":"hello"}}"#;
    assert_eq!(agent.say(&[started]).unwrap(), Ordinal(0)..Ordinal(1));
    assert_eq!(agent.say(&[said]).unwrap(), Ordinal(1)..Ordinal(2));
    // A batch that was sent before is told from one that is in the way.
    agent.end = Ordinal(1);
    assert_eq!(agent.say(&[said]).unwrap(), Ordinal(1)..Ordinal(2));
    agent.end = Ordinal(1);
    assert_eq!(
        agent.say(&[started]).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(agent.newest_turns().unwrap().len(), 1);

    let refused = import(&agent.store, "empty.jsonl", b"").unwrap();
    assert_eq!(refused.unwrap_err(), Skip::Empty);
    let mut out = Vec::new();
    let report: ContextReport = agent
        .store
        .context(THREAD, &ForkPoint::Latest, &mut out)
        .unwrap();
    assert_eq!(report.records, 2);
    out.clear();
    agent.store.export(THREAD, Ordinal(1).., &mut out).unwrap();
    assert_eq!(out, format!("{said}\n").as_bytes());
    out.clear();
    let first = ..=Ordinal(0);
    agent.store.export(THREAD, first, &mut out).unwrap();
    assert_eq!(out, format!("{started}\n").as_bytes());

    agent.store.seal_all().unwrap();
    let overview = Overview::of(&agent.store).unwrap();
    assert_eq!(overview.threads.len(), 1);
    assert_eq!(overview.segments[0].ordinals, Ordinal(0)..Ordinal(2));
    assert!(overview.lost.is_empty() && overview.to_adopt.is_empty());
}
