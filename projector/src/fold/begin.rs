//! Owns what the fold forgets where a rollout goes on from another one. What was shown of the turns
//! and items before it stays, and what the thread is, unless the rollout begins with a head.

use crate::fold::state::{CalledBy, ThreadMeta, ThreadState};
use crate::payload::Effect;

/// Says that the records of another rollout follow; `of_fork` when it is another thread's.
pub fn go_on(state: &mut ThreadState, of_fork: bool) {
    state.begins = true;
    if of_fork {
        let meta = &mut state.meta;
        meta.session_id = None;
        meta.forked_from = None;
        meta.parent = None;
        meta.created_at_ms = None;
        meta.first_at_ms = None;
        meta.name = None;
        meta.named_at_ms = None;
    }
}

/// The state that a fold begins with where the thread had records before: it keeps what the thread
/// is called, when it began, and who began it, whatever is shown of it now. A head says the last
/// anew.
#[must_use]
pub fn begin_anew(before: &ThreadState, by: CalledBy) -> ThreadState {
    let of = &before.meta;
    ThreadState {
        called_by: Some(by),
        begins: true,
        meta: ThreadMeta {
            preview: of.preview.clone(),
            first_user_message: of.first_user_message.clone(),
            title: of.title.clone(),
            created_at_ms: of.created_at_ms,
            first_at_ms: of.first_at_ms,
            parent: of.parent.clone(),
            cwd: of.cwd.clone(),
            source: of.source.clone(),
            thread_source: of.thread_source.clone(),
            agent_nickname: of.agent_nickname.clone(),
            agent_role: of.agent_role.clone(),
            agent_path: of.agent_path.clone(),
            originator: of.originator.clone(),
            cli_version: of.cli_version.clone(),
            ..ThreadMeta::default()
        },
        ..ThreadState::default()
    }
}

/// Takes the first line of a rollout that goes on from another one: a head there says anew what the
/// thread is. Returns when the thread began, which the head of a revert does not change.
pub(super) fn take_first_line(state: &mut ThreadState, effect: &Effect<'_>) -> Option<i64> {
    let is_line = !matches!(
        effect,
        Effect::Metadata(_) | Effect::Blank | Effect::Pending
    );
    if !state.begins || !is_line {
        return None;
    }
    state.begins = false;
    if !matches!(effect, Effect::SessionMeta(_) | Effect::IncompleteHead(..)) {
        return None;
    }
    state.head_at = None;
    state.meta.id = None;
    state.meta.created_at_ms.take()
}
