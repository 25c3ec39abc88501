//! Owns what the source of a spawned thread says of it: `source.subagent.thread_spawn`. It must not
//! know other sources.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::SessionMeta;
use crate::payload::json::pieces::Text;
use crate::payload::json::read;

/// Takes from the source what the head does not say itself: the thread that spawned this one, in
/// files from before there was a field for it; nickname, role and path, which the runtime shows.
pub(crate) fn complete(meta: &mut SessionMeta<'_>) {
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(borrow)]
        subagent: Subagent<'a>,
    }
    #[derive(Deserialize)]
    struct Subagent<'a> {
        #[serde(borrow)]
        thread_spawn: Spawn<'a>,
    }
    // A key of another type costs itself alone.
    #[derive(Deserialize)]
    struct Spawn<'a> {
        #[serde(borrow)]
        parent_thread_id: Option<&'a RawValue>,
        #[serde(borrow)]
        agent_path: Option<&'a RawValue>,
        #[serde(borrow)]
        agent_nickname: Option<&'a RawValue>,
        #[serde(alias = "agent_type", borrow)]
        agent_role: Option<&'a RawValue>,
    }
    if !meta.source.starts_with('{') {
        return;
    }
    let Some(source) = read::<Source<'_>>(&meta.source) else {
        return;
    };
    let Spawn {
        parent_thread_id,
        agent_path,
        agent_nickname,
        agent_role,
    } = source.subagent.thread_spawn;
    let text = |raw: Option<&RawValue>| {
        let text = read::<Text<'_>>(raw?.get())?;
        Some(Cow::Owned(text.0.into_owned()))
    };
    for (said, of_source) in [
        (&mut meta.parent, parent_thread_id),
        (&mut meta.agent_path, agent_path),
        (&mut meta.agent_nickname, agent_nickname),
        (&mut meta.agent_role, agent_role),
    ] {
        if said.is_none() {
            *said = text(of_source);
        }
    }
}
