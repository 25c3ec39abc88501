//! Owns decoded records that outlive the bytes of their line.

use std::borrow::Cow;

use crate::payload::{
    BareHead, CallHead, Compacted, Decoded, Effect, Git, MetadataHead, ResponseHead, SessionMeta,
    Settings, TurnContext,
};
use crate::payload::{HookPromptHead, InTurn, ItemHead, LegacyHead, UserText};

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn each(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
    text.map(own)
}

/// The record with texts of its own.
pub(crate) fn decoded(decoded: Decoded<'_>) -> Decoded<'static> {
    Decoded {
        timestamp_ms: decoded.timestamp_ms,
        upstream_ordinal: decoded.upstream_ordinal,
        kept: decoded.kept,
        paths: decoded.paths,
        is_lenient: decoded.is_lenient,
        continues: decoded.continues,
        unknown: each(decoded.unknown),
        effect: effect(decoded.effect),
    }
}

fn effect(effect: Effect<'_>) -> Effect<'static> {
    match effect {
        Effect::Blank => Effect::Blank,
        Effect::Rejected(reason) => Effect::Rejected(reason),
        Effect::Pending => Effect::Pending,
        Effect::Continued => Effect::Continued,
        Effect::BareHead(BareHead { id, created_at_ms }) => Effect::BareHead(BareHead {
            id: own(id),
            created_at_ms,
        }),
        Effect::IncompleteHead(meta, lacks) => {
            Effect::IncompleteHead(Box::new(session(*meta)), lacks)
        }
        Effect::Metadata(metadata) => Effect::Metadata(MetadataHead {
            name: each(metadata.name),
            ..metadata
        }),
        Effect::Ignored => Effect::Ignored,
        Effect::SessionMeta(meta) => Effect::SessionMeta(Box::new(session(*meta))),
        Effect::Response(head) => Effect::Response(response(head)),
        Effect::Compacted(compacted) => Effect::Compacted(Compacted {
            is_usable: compacted.is_usable,
            window_id: each(compacted.window_id),
        }),
        Effect::TurnContext(context) => Effect::TurnContext(turn_context(context)),
        Effect::InterAgent => Effect::InterAgent,
        Effect::TurnStarted {
            id,
            root,
            started_at,
        } => Effect::TurnStarted {
            id: own(id),
            root: each(root),
            started_at,
        },
        Effect::TurnCompleted {
            id,
            root,
            has_error,
            times,
        } => Effect::TurnCompleted {
            id: own(id),
            root: each(root),
            has_error,
            times,
        },
        Effect::TurnAborted { id, root, times } => Effect::TurnAborted {
            id: each(id),
            root: each(root),
            times,
        },
        Effect::RolledBack(turns) => Effect::RolledBack(turns),
        Effect::TokenCount(total) => Effect::TokenCount(total),
        Effect::Settings(found) => Effect::Settings(Box::new(settings(*found))),
        Effect::Goal(objective) => Effect::Goal(own(objective)),
        Effect::Item(head) => Effect::Item(item_event(head)),
    }
}

fn response(head: ResponseHead<'_>) -> ResponseHead<'static> {
    ResponseHead {
        is_ghost: head.is_ghost,
        proves_user_turn: head.proves_user_turn,
        hook: head.hook.map(|hook| HookPromptHead { id: each(hook.id) }),
        call: head.call.map(|call| match call {
            CallHead::Command(id) => CallHead::Command(own(id)),
            CallHead::Output(id) => CallHead::Output(own(id)),
        }),
    }
}

fn turn_context(context: TurnContext<'_>) -> TurnContext<'static> {
    TurnContext {
        turn_id: each(context.turn_id),
        cwd: own(context.cwd),
        model: own(context.model),
        effort: each(context.effort),
    }
}

fn settings(settings: Settings<'_>) -> Settings<'static> {
    Settings {
        cwd: own(settings.cwd),
        model: own(settings.model),
        model_provider: own(settings.model_provider),
        effort: each(settings.effort),
    }
}

fn session(meta: SessionMeta<'_>) -> SessionMeta<'static> {
    SessionMeta {
        id: own(meta.id),
        session_id: each(meta.session_id),
        forked_from: each(meta.forked_from),
        parent: each(meta.parent),
        has_thread_ids: meta.has_thread_ids,
        created_at_ms: meta.created_at_ms,
        cwd: own(meta.cwd),
        originator: own(meta.originator),
        cli_version: own(meta.cli_version),
        source: own(meta.source),
        thread_source: each(meta.thread_source),
        agent_nickname: each(meta.agent_nickname),
        agent_role: each(meta.agent_role),
        agent_path: each(meta.agent_path),
        model_provider: each(meta.model_provider),
        memory_mode: each(meta.memory_mode),
        is_paginated: meta.is_paginated,
        has_base: meta.has_base,
        own_history_start: meta.own_history_start,
        window_id: each(meta.window_id),
        git: meta.git.map(|git| Git {
            commit: each(git.commit),
            branch: each(git.branch),
            repository_url: each(git.repository_url),
        }),
    }
}

fn user(user: UserText<'_>) -> UserText<'static> {
    UserText {
        title: each(user.title),
        has_images: user.has_images,
    }
}

fn item_event(head: LegacyHead<'_>) -> LegacyHead<'static> {
    match head {
        LegacyHead::UserMessage { user: text } => LegacyHead::UserMessage { user: user(text) },
        LegacyHead::AgentMessage { phase, is_empty } => {
            LegacyHead::AgentMessage { phase, is_empty }
        }
        LegacyHead::Reasoning { is_empty } => LegacyHead::Reasoning { is_empty },
        LegacyHead::ContextCompacted => LegacyHead::ContextCompacted,
        LegacyHead::Upsert {
            id,
            kind,
            turn,
            is_begin,
        } => LegacyHead::Upsert {
            id: own(id),
            kind,
            turn: match turn {
                InTurn::Current => InTurn::Current,
                InTurn::ById(turn) => InTurn::ById(own(turn)),
            },
            is_begin,
        },
        LegacyHead::Review {
            kind,
            turn_id,
            item_id,
        } => LegacyHead::Review {
            kind,
            turn_id: each(turn_id),
            item_id: each(item_id),
        },
        LegacyHead::Item {
            turn_id,
            item,
            is_begin,
            times,
        } => LegacyHead::Item {
            turn_id: own(turn_id),
            item: ItemHead {
                id: own(item.id),
                kind: item.kind,
                phase: item.phase,
                user: item.user.map(user),
                legacy: item.legacy,
            },
            is_begin,
            times,
        },
        LegacyHead::Error { affects_turn } => LegacyHead::Error { affects_turn },
        LegacyHead::NoItem => LegacyHead::NoItem,
    }
}
