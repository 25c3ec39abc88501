//! Owns the bounds on text that the state and the rows of a thread keep of a record; it must not
//! know rows.
//!
//! A record may be as large as it likes; what is kept of it beside the log is small. Texts are cut
//! where they are decoded, so batches, notes and a rebuild all see the same. What is served of an
//! item is read from its record and is never cut.

use std::borrow::Cow;

use crate::payload::short::{ID_BYTES_MAX, TEXT_BYTES_MAX, cut_text, short_id};
use crate::payload::{CallHead, Effect, SessionMeta};
use crate::payload::{InTurn, LegacyHead};

/// Most bytes of the JSON text of a structured source; a larger one is `unknown`.
const SOURCE_BYTES_MAX: usize = 16 << 10;

fn texts<'t, 'a: 't>(all: impl IntoIterator<Item = &'t mut Cow<'a, str>>) {
    for text in all {
        if text.len() > TEXT_BYTES_MAX {
            *text = cut_text(std::mem::take(text));
        }
    }
}

fn ids<'t, 'a: 't>(all: impl IntoIterator<Item = &'t mut Cow<'a, str>>) {
    for id in all {
        if id.len() > ID_BYTES_MAX {
            *id = Cow::Owned(short_id(id).into_owned());
        }
    }
}

/// Cuts every text of an effect.
pub(crate) fn bound(effect: &mut Effect<'_>) {
    match effect {
        Effect::BareHead(head) => ids([&mut head.id]),
        Effect::Metadata(metadata) => texts(&mut metadata.name),
        Effect::SessionMeta(meta) | Effect::IncompleteHead(meta, _) => bound_session(meta),
        Effect::Response(head) => {
            if let Some(hook) = &mut head.hook {
                ids(&mut hook.id);
            }
            match &mut head.call {
                Some(CallHead::Command(id) | CallHead::Output(id)) => ids([id]),
                None => {}
            }
        }
        Effect::Compacted(compacted) => ids(&mut compacted.window_id),
        Effect::TurnContext(context) => {
            ids(&mut context.turn_id);
            texts([&mut context.cwd, &mut context.model]);
            texts(&mut context.effort);
        }
        Effect::TurnStarted { id, root, .. } | Effect::TurnCompleted { id, root, .. } => {
            ids([id].into_iter().chain(root));
        }
        Effect::TurnAborted { id, root, .. } => ids(id.iter_mut().chain(root)),
        Effect::Settings(settings) => {
            let provider = &mut settings.model_provider;
            texts([&mut settings.cwd, &mut settings.model, provider]);
            texts(&mut settings.effort);
        }
        Effect::Goal(objective) => texts([objective]),
        Effect::Item(head) => bound_item(head),
        Effect::Blank
        | Effect::Rejected(_)
        | Effect::Pending
        | Effect::Continued
        | Effect::Ignored
        | Effect::InterAgent
        | Effect::RolledBack(_)
        | Effect::TokenCount(_) => {}
    }
}

fn bound_session(meta: &mut SessionMeta<'_>) {
    ids([&mut meta.id]);
    let named = [
        &mut meta.session_id,
        &mut meta.forked_from,
        &mut meta.parent,
        &mut meta.window_id,
    ];
    ids(named.into_iter().flatten());
    texts([&mut meta.cwd, &mut meta.originator, &mut meta.cli_version]);
    let told = [
        &mut meta.thread_source,
        &mut meta.agent_nickname,
        &mut meta.agent_role,
        &mut meta.agent_path,
        &mut meta.model_provider,
        &mut meta.memory_mode,
    ];
    texts(told.into_iter().flatten());
    if let Some(git) = &mut meta.git {
        let told = [&mut git.commit, &mut git.branch, &mut git.repository_url];
        texts(told.into_iter().flatten());
    }
    // A part of a JSON text would be none.
    if meta.source.len() > SOURCE_BYTES_MAX {
        meta.source = Cow::Borrowed("unknown");
    }
}

fn bound_item(head: &mut LegacyHead<'_>) {
    match head {
        LegacyHead::Upsert { id, turn, .. } => {
            ids([id]);
            if let InTurn::ById(turn) = turn {
                ids([turn]);
            }
        }
        LegacyHead::Review {
            turn_id, item_id, ..
        } => ids(turn_id.iter_mut().chain(item_id)),
        LegacyHead::Item { turn_id, item, .. } => ids([turn_id, &mut item.id]),
        // What a user wrote is cut where it is taken apart.
        LegacyHead::UserMessage { .. }
        | LegacyHead::AgentMessage { .. }
        | LegacyHead::Reasoning { .. }
        | LegacyHead::ContextCompacted
        | LegacyHead::Error { .. }
        | LegacyHead::NoItem => {}
    }
}
