//! Owns the step from a decoded record to rows and state, as far as both modes share it.

use turnleaf_format::Ordinal;

use crate::fold::begin::take_first_line;
use crate::fold::legacy;
use crate::fold::paginated;
use crate::fold::state::{AnomalyKind, At, Mode, ThreadMeta, ThreadState};
use crate::payload::{Decoded, Effect, Git, MetadataHead, PathFamily, Rejection, SessionMeta};
use crate::payload::{LegacyHead, UserText};
use crate::rows::{Rows, TurnNo};

/// Takes one record into rows and state.
///
/// Records of a thread come in the order of their ordinals, each once. The same records lead to the
/// same rows and state however they are cut into batches.
///
/// # Errors
/// Those of the rows; nothing in a record is an error.
pub fn apply<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    decoded: &Decoded<'_>,
) -> Result<(), R::Error> {
    if matches!(decoded.effect, Effect::TurnStarted { .. }) {
        rows.keep_savepoint(ordinal, TurnNo(state.turns), state)?;
    }
    let first_at_ms = &mut state.meta.first_at_ms;
    *first_at_ms = first_at_ms.or(decoded.timestamp_ms);
    state.uncounted += u64::from(decoded.is_uncounted());
    let began_at_ms = take_first_line(state, &decoded.effect);
    if take_aside(state, ordinal, decoded) {
        return Ok(());
    }
    if let Effect::SessionMeta(meta) = &decoded.effect {
        if state.head_at.is_some() && !meta.has_thread_ids {
            reject(state, ordinal, Rejection::Payload, decoded);
            return Ok(());
        }
        take_head(state, ordinal, meta, decoded.upstream_ordinal);
    }
    let is_own = check_upstream_ordinal(state, ordinal, decoded.upstream_ordinal);
    learn(state, ordinal, decoded, is_own);
    state.meta.created_at_ms = began_at_ms.or(state.meta.created_at_ms);
    match state.mode() {
        Mode::Legacy if is_ghost(decoded) => Ok(()),
        Mode::Legacy => {
            legacy::apply(rows, state, ordinal, decoded)?;
            state.records += 1;
            Ok(())
        }
        Mode::Paginated => {
            state.records += 1;
            if is_own {
                paginated::apply(rows, state, ordinal, decoded)
            } else {
                Ok(())
            }
        }
    }
}

/// Passes a record by that the rows could not take; it is counted.
pub fn pass_by(state: &mut ThreadState, ordinal: Ordinal) {
    state.note(AnomalyKind::PassedBy, ordinal);
}

/// Takes a line that is no record of the history: no record at all, or one about the thread as a
/// whole. `false`: it is a record of the history, and nothing was taken of it.
fn take_aside(state: &mut ThreadState, ordinal: Ordinal, decoded: &Decoded<'_>) -> bool {
    match &decoded.effect {
        Effect::Blank | Effect::Pending => {}
        Effect::Continued => state.note(AnomalyKind::AfterLineEnd, ordinal),
        Effect::Rejected(reason) => reject(state, ordinal, *reason, decoded),
        Effect::BareHead(head) => {
            state.note(AnomalyKind::Rejected(Rejection::NoEnvelope), ordinal);
            if state.meta.id.is_none() {
                state.meta.created_at_ms = state.meta.created_at_ms.or(head.created_at_ms);
            }
        }
        Effect::IncompleteHead(meta, lacks) => {
            state.note(AnomalyKind::Rejected(Rejection::HeadLacks(*lacks)), ordinal);
            take_incomplete_head(state, meta);
            pass_upstream_ordinal(state, decoded);
        }
        Effect::Metadata(metadata) => take_metadata(&mut state.meta, metadata),
        _ => return false,
    }
    true
}

/// A head that lacks something says what it does, until a whole one comes.
fn take_incomplete_head(state: &mut ThreadState, meta: &SessionMeta<'_>) {
    if state.head_at.is_some() || state.meta.id.is_some() {
        return;
    }
    state.declared = Some(mode_of(meta));
    state.own_history_start = meta.own_history_start.unwrap_or(0);
    learn_session(&mut state.meta, meta);
    // A whole head that follows says it better.
    state.meta.id = None;
}

fn take_metadata(meta: &mut ThreadMeta, metadata: &MetadataHead<'_>) {
    if let Some(name) = &metadata.name {
        meta.name = (!name.is_empty()).then(|| name.to_string());
        meta.named_at_ms = Some(metadata.named_at_ms);
        let latest = &mut meta.name_stated_at_ms;
        *latest = (*latest).max(Some(metadata.stated_at_ms));
    }
}

/// Counts a line that is no record.
fn reject(state: &mut ThreadState, ordinal: Ordinal, reason: Rejection, decoded: &Decoded<'_>) {
    state.note(AnomalyKind::Rejected(reason), ordinal);
    if let Some(kind) = &decoded.unknown {
        state.note_unknown(kind);
    }
    pass_upstream_ordinal(state, decoded);
}

/// A line that is no record owns its place all the same: what follows leaves no gap.
fn pass_upstream_ordinal(state: &mut ThreadState, decoded: &Decoded<'_>) {
    if let Some(upstream) = decoded.upstream_ordinal {
        state.upstream_next = state.upstream_next.max(upstream.saturating_add(1));
    }
}

fn is_ghost(decoded: &Decoded<'_>) -> bool {
    matches!(&decoded.effect, Effect::Response(head) if head.is_ghost)
}

fn mode_of(meta: &SessionMeta<'_>) -> Mode {
    if meta.is_paginated {
        Mode::Paginated
    } else {
        Mode::Legacy
    }
}

fn take_head(
    state: &mut ThreadState,
    ordinal: Ordinal,
    meta: &SessionMeta<'_>,
    upstream: Option<u64>,
) {
    if state.head_at.is_some() {
        return;
    }
    state.head_at = Some(At(ordinal));
    state.head_paths = PathFamily::of(&meta.cwd);
    state.declared = Some(mode_of(meta));
    state.own_history_start = meta.own_history_start.unwrap_or(0);
    if let (true, Some(upstream)) = (meta.has_base, upstream) {
        // A rollout that goes on with another one goes on with its ordinals.
        state.upstream_next = state.upstream_next.max(upstream);
    }
}

/// Counts what is wrong with upstream ordinals; says whether the record is the thread's own.
fn check_upstream_ordinal(
    state: &mut ThreadState,
    ordinal: Ordinal,
    upstream: Option<u64>,
) -> bool {
    if state.declared != Some(Mode::Paginated) {
        return true;
    }
    let expected = state.upstream_next;
    let Some(upstream) = upstream else {
        state.note(AnomalyKind::OrdinalMissing, ordinal);
        return expected >= state.own_history_start;
    };
    if upstream > expected {
        state.note(AnomalyKind::OrdinalGap, ordinal);
    } else if upstream < expected {
        state.note(AnomalyKind::OrdinalRepeated, ordinal);
    }
    state.upstream_next = expected.max(upstream.saturating_add(1));
    upstream >= state.own_history_start
}

/// Takes the thread's facts from a record (rules 16).
fn learn(state: &mut ThreadState, ordinal: Ordinal, decoded: &Decoded<'_>, is_own: bool) {
    match decoded.timestamp_ms {
        Some(at) => state.meta.updated_at_ms = state.meta.updated_at_ms.max(Some(at)),
        None => state.note(AnomalyKind::Timestamp, ordinal),
    }
    let mode = state.mode();
    let meta = &mut state.meta;
    match &decoded.effect {
        Effect::SessionMeta(session) => learn_session(meta, session),
        Effect::TurnContext(context) => {
            meta.model = Some(context.model.to_string());
            meta.effort = context.effort.as_deref().map(str::to_owned);
            learn_directory(meta, &context.cwd);
        }
        Effect::Settings(settings) => {
            meta.model = Some(settings.model.to_string());
            meta.effort = settings.effort.as_deref().map(str::to_owned);
            meta.model_provider = Some(settings.model_provider.to_string());
            learn_directory(meta, &settings.cwd);
        }
        Effect::TokenCount(Some(total)) => meta.tokens_used = Some((*total).max(0)),
        Effect::Compacted(compacted) => {
            if let Some(window) = &compacted.window_id {
                meta.window_id = Some(window.to_string());
            }
        }
        Effect::TurnStarted { .. } => {
            let after = meta.recency_at_ms.map(|old| old.saturating_add(1));
            meta.recency_at_ms = decoded.timestamp_ms.max(after);
        }
        Effect::Goal(objective) if is_own && !objective.is_empty() => {
            meta.preview.get_or_insert_with(|| objective.to_string());
        }
        Effect::Item(LegacyHead::UserMessage { user }) if is_own => learn_user_text(meta, user),
        Effect::Item(LegacyHead::Item {
            item,
            is_begin: false,
            ..
        }) if is_own && mode == Mode::Paginated => {
            if let Some(user) = &item.user {
                learn_user_text(meta, user);
            }
        }
        _ => {}
    }
}

/// A thread is listed under the directory it began in, wherever later turns ran; so does runtime
/// 0.171, also where it lists a thread from its file alone.
fn learn_directory(meta: &mut ThreadMeta, cwd: &str) {
    if meta.cwd.as_deref().is_none_or(str::is_empty) {
        meta.cwd = Some(cwd.to_owned());
    }
}

fn learn_session(meta: &mut ThreadMeta, session: &SessionMeta<'_>) {
    if meta.id.as_deref().is_some_and(|id| id != session.id) {
        return;
    }
    let is_head = meta.id.is_none();
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    meta.memory_mode = owned(&session.memory_mode).or(meta.memory_mode.take());
    if let Some(Git {
        commit,
        branch,
        repository_url,
    }) = &session.git
    {
        meta.git_commit = owned(commit);
        meta.git_branch = owned(branch);
        meta.git_repository_url = owned(repository_url);
    }
    if !is_head {
        return;
    }
    meta.id = Some(session.id.to_string());
    meta.session_id = owned(&session.session_id).or(Some(session.id.to_string()));
    meta.forked_from = owned(&session.forked_from);
    // Where a thread was taken back, another head of it may not say so.
    meta.parent = owned(&session.parent).or(meta.parent.take());
    meta.created_at_ms = session.created_at_ms;
    meta.cwd = Some(session.cwd.to_string());
    meta.originator = Some(session.originator.to_string());
    meta.cli_version = Some(session.cli_version.to_string());
    meta.source = Some(session.source.to_string());
    meta.thread_source = owned(&session.thread_source);
    meta.agent_nickname = owned(&session.agent_nickname);
    meta.agent_role = owned(&session.agent_role);
    meta.agent_path = owned(&session.agent_path);
    meta.model_provider = owned(&session.model_provider);
    meta.first_window_id = owned(&session.window_id);
    meta.window_id = meta.first_window_id.clone();
}

fn learn_user_text(meta: &mut ThreadMeta, user: &UserText<'_>) {
    if let Some(preview) = user.preview() {
        if meta.preview.is_none() {
            meta.preview = Some(preview.to_owned());
        }
        if meta.first_user_message.is_none() {
            meta.first_user_message = Some(preview.to_owned());
        }
    }
    if meta.title.is_none() {
        meta.title = user.title.as_deref().map(str::to_owned);
    }
}
