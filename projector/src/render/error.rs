//! Owns the served form of the error of a turn.

use serde_json::{Value, json};

use crate::payload::items::error::{ErrorEvent, ErrorInfo, TurnKind};

/// The served form of an error.
pub(crate) fn served(error: &ErrorEvent<'_>) -> Value {
    json!({
        "message": error.message.value(),
        "codexErrorInfo": error.codex_error_info.map(served_info),
        "additionalDetails": null,
    })
}

fn served_info(info: ErrorInfo) -> Value {
    let status = |name: &str, code: Option<u16>| json!({ name: { "httpStatusCode": code } });
    match info {
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
