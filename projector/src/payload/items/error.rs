//! Owns the error of a turn as payloads say it. It must not know which turn it belongs to, nor how
//! it is served.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::json::scan;
use crate::payload::json::wire::Str;

/// An error as its event says it.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ErrorEvent<'a> {
    pub(crate) message: Str<'a>,
    pub(crate) codex_error_info: Option<ErrorInfo>,
}

/// What kind of error ended a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorInfo {
    ContextWindowExceeded,
    SessionBudgetExceeded,
    UsageLimitExceeded,
    ServerOverloaded,
    CyberPolicy,
    InternalServerError,
    Unauthorized,
    BadRequest,
    SandboxError,
    ThreadRollbackFailed,
    Other,
    HttpConnectionFailed { http_status_code: Option<u16> },
    ResponseStreamConnectionFailed { http_status_code: Option<u16> },
    ResponseStreamDisconnected { http_status_code: Option<u16> },
    ResponseTooManyFailedAttempts { http_status_code: Option<u16> },
    ActiveTurnNotSteerable { turn_kind: TurnKind },
}

/// Which kind of turn refused to be steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TurnKind {
    Review,
    Compact,
}

impl ErrorInfo {
    /// Whether the turn failed, and not only a request that concerned it.
    pub(crate) fn affects_turn(self) -> bool {
        !matches!(
            self,
            ErrorInfo::ThreadRollbackFailed | ErrorInfo::ActiveTurnNotSteerable { .. }
        )
    }
}

/// The error inside of a `task_complete`; `None` where it does not decode.
pub(crate) fn error_of_end(error: &RawValue) -> Option<ErrorEvent<'_>> {
    scan::check_strings(error.get()).ok()?;
    serde_json::from_str::<Option<ErrorEvent<'_>>>(error.get()).ok()?
}
