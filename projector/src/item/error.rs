//! Owns the error of a turn: what a payload says about it and what is served. It must not know
//! which turn it belongs to.

use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::Str;

/// An error as its event says it.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ErrorEvent<'a> {
    pub(super) message: Str<'a>,
    pub(super) codex_error_info: Option<ErrorInfo>,
}

/// What kind of error ended a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorInfo {
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
pub(super) enum TurnKind {
    Review,
    Compact,
}

impl ErrorInfo {
    /// Whether the turn failed, and not only a request that concerned it.
    pub(super) fn affects_turn(self) -> bool {
        !matches!(
            self,
            ErrorInfo::ThreadRollbackFailed | ErrorInfo::ActiveTurnNotSteerable { .. }
        )
    }

    fn served(self) -> Value {
        let status = |name: &str, code: Option<u16>| json!({ name: { "httpStatusCode": code } });
        match self {
            ErrorInfo::ContextWindowExceeded => json!("contextWindowExceeded"),
            ErrorInfo::SessionBudgetExceeded => json!("sessionBudgetExceeded"),
            ErrorInfo::UsageLimitExceeded => json!("usageLimitExceeded"),
            ErrorInfo::ServerOverloaded => json!("serverOverloaded"),
            ErrorInfo::CyberPolicy => json!("cyberPolicy"),
            ErrorInfo::InternalServerError => json!("internalServerError"),
            ErrorInfo::Unauthorized => json!("unauthorized"),
            ErrorInfo::BadRequest => json!("badRequest"),
            ErrorInfo::SandboxError => json!("sandboxError"),
            ErrorInfo::ThreadRollbackFailed => json!("threadRollbackFailed"),
            ErrorInfo::Other => json!("other"),
            ErrorInfo::HttpConnectionFailed {
                http_status_code: code,
            } => status("httpConnectionFailed", code),
            ErrorInfo::ResponseStreamConnectionFailed {
                http_status_code: code,
            } => status("responseStreamConnectionFailed", code),
            ErrorInfo::ResponseStreamDisconnected {
                http_status_code: code,
            } => status("responseStreamDisconnected", code),
            ErrorInfo::ResponseTooManyFailedAttempts {
                http_status_code: code,
            } => status("responseTooManyFailedAttempts", code),
            ErrorInfo::ActiveTurnNotSteerable { turn_kind } => {
                let kind = match turn_kind {
                    TurnKind::Review => "review",
                    TurnKind::Compact => "compact",
                };
                json!({ "activeTurnNotSteerable": { "turnKind": kind } })
            }
        }
    }
}

/// The served form of an error.
pub(super) fn served(error: &ErrorEvent<'_>) -> Value {
    json!({
        "message": error.message.value(),
        "codexErrorInfo": error.codex_error_info.map(ErrorInfo::served),
        "additionalDetails": null,
    })
}
