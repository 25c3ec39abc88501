//! Owns the acceptance of `response_item` payloads; it must not know envelopes or events.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::payload::items;
use crate::payload::json::one_tag;
use crate::payload::json::pieces::{Array, List, Str, StrMap, Text, tag};
use crate::payload::{CallHead, ResponseHead};

/// A decoded response item.
pub(crate) struct Response<'a> {
    pub(crate) head: ResponseHead<'a>,
    /// Whether the persistence policy keeps it.
    pub(crate) kept: bool,
}

/// Decodes a payload; `None` when the reference rejects it.
pub(crate) fn response(payload: &str) -> Option<Response<'_>> {
    let tag = tag(payload)?;
    let mut head = ResponseHead::default();
    let mut kept = true;
    match tag.as_ref() {
        "message" => head = message(payload)?,
        "agent_message" => {
            one_tag::from_str::<AgentMessage<'_>>(payload)
                .ok()?
                .check()?;
            head.proves_user_turn = true;
        }
        "reasoning" => one_tag::from_str::<Reasoning<'_>>(payload).ok()?.check()?,
        "function_call" => head.call = function_call(payload)?,
        "function_call_output" => head.call = Some(function_output(payload)?),
        "custom_tool_call" => accept::<CustomToolCall<'_>>(payload)?,
        "custom_tool_call_output" => {
            let call: CustomToolCallOutput<'_> = one_tag::from_str(payload).ok()?;
            call.output.check()?;
        }
        "local_shell_call" => {
            let call = one_tag::from_str::<ShellCall<'_>>(payload).ok()?;
            call.check()?;
            head.call = call.call_id.map(|Text(id)| CallHead::Command(id));
        }
        "tool_search_call" => accept::<ToolSearchCall<'_>>(payload)?,
        "tool_search_output" => accept::<ToolSearchOutput<'_>>(payload)?,
        "web_search_call" => accept::<WebSearchCall<'_>>(payload)?,
        "image_generation_call" => accept::<ImageGenerationCall<'_>>(payload)?,
        "compaction" | "compaction_summary" => accept::<Compaction<'_>>(payload)?,
        "context_compaction" => accept::<ContextCompaction<'_>>(payload)?,
        "additional_tools" => {
            accept::<AdditionalTools<'_>>(payload)?;
            kept = false;
        }
        other => {
            accept::<IgnoredAny>(payload)?;
            head.is_ghost = other == "ghost_snapshot";
            kept = false;
        }
    }
    Some(Response { head, kept })
}

fn accept<'a, T: Deserialize<'a>>(payload: &'a str) -> Option<()> {
    one_tag::from_str::<T>(payload).ok().map(|_| ())
}

/// The call that it is, if it runs a command.
fn function_call(payload: &str) -> Option<Option<CallHead<'_>>> {
    let call: FunctionCall<'_> = one_tag::from_str(payload).ok()?;
    let runs = matches!(
        call.name.0,
        "\"shell\"" | "\"container.exec\"" | "\"shell_command\"" | "\"exec_command\""
    );
    Some(runs.then_some(CallHead::Command(call.call_id.0)))
}

fn function_output(payload: &str) -> Option<CallHead<'_>> {
    let call: FunctionCallOutput<'_> = one_tag::from_str(payload).ok()?;
    call.output.check()?;
    Some(CallHead::Output(call.call_id.0))
}

fn message(payload: &str) -> Option<ResponseHead<'_>> {
    let message: Message<'_> = one_tag::from_str(payload).ok()?;
    let mut head = ResponseHead::default();
    match message.role.as_str() {
        "user" if memchr::memmem::find(payload.as_bytes(), b"hook_prompt").is_some() => {
            head.hook = serde_json::from_str(payload)
                .ok()
                .and_then(items::hook_prompt_head);
        }
        "assistant" if message.content.count == 1 => {
            let text = message
                .content
                .first
                .as_ref()
                .and_then(|part| part.0.text());
            head.proves_user_turn = text.is_some_and(is_communication);
        }
        _ => {}
    }
    Some(head)
}

/// Whether a text (in its JSON form) is itself the JSON of a message between agents.
fn is_communication(text: Str<'_>) -> bool {
    if !text.0[1..].trim_start().starts_with('{') {
        return false;
    }
    let Ok(text) = serde_json::from_str::<Text<'_>>(text.0) else {
        return false;
    };
    serde_json::from_str::<Communication<'_>>(text.as_str()).is_ok_and(|c| c.check().is_some())
}

/// `inter_agent_communication`, as a record of its own or as the text of a message.
#[derive(Deserialize)]
pub(crate) struct Communication<'a> {
    #[serde(borrow)]
    author: Text<'a>,
    #[serde(borrow)]
    recipient: Text<'a>,
    #[serde(default, rename = "other_recipients", borrow)]
    _other_recipients: Option<List<Str<'a>>>,
    #[serde(rename = "content", borrow)]
    _content: Str<'a>,
    #[serde(rename = "encrypted_content", borrow)]
    _encrypted_content: Option<Str<'a>>,
    #[serde(rename = "id", borrow)]
    _id: Option<Str<'a>>,
    #[serde(rename = "trigger_turn")]
    _trigger_turn: bool,
}

impl Communication<'_> {
    pub(crate) fn check(&self) -> Option<()> {
        (is_agent_path(self.author.as_str()) && is_agent_path(self.recipient.as_str()))
            .then_some(())
    }
}

fn is_agent_path(path: &str) -> bool {
    path.strip_prefix("/root")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Commentary,
    PartialAnswer,
    FinalAnswer,
}

#[derive(Deserialize)]
struct Passthrough<'a> {
    #[serde(rename = "turn_id", borrow)]
    _turn_id: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: List<MessagePart<'a>>,
    #[serde(rename = "phase")]
    _phase: Option<Phase>,
    #[serde(rename = "id", borrow)]
    _id: Option<Str<'a>>,
    #[serde(rename = "internal_chat_message_metadata_passthrough", borrow)]
    _passthrough: Option<Passthrough<'a>>,
}

/// One part of a message or of a tool's output, checked as it is read.
#[derive(Deserialize)]
#[serde(try_from = "ContentKeys<'a>", bound(deserialize = "'de: 'a"))]
struct Content<'a> {
    kind: PartKind,
    value: Str<'a>,
}

impl<'a> Content<'a> {
    fn text(&self) -> Option<Str<'a>> {
        matches!(self.kind, PartKind::InputText | PartKind::OutputText).then_some(self.value)
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum PartKind {
    InputText,
    InputImage,
    InputAudio,
    OutputText,
    EncryptedContent,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Detail {
    Auto,
    Low,
    High,
    Original,
}

#[derive(Deserialize)]
struct ContentKeys<'a> {
    #[serde(rename = "type")]
    kind: PartKind,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    image_url: Option<Str<'a>>,
    #[serde(borrow)]
    audio_url: Option<Str<'a>>,
    #[serde(borrow)]
    encrypted_content: Option<Str<'a>>,
    #[serde(rename = "detail")]
    _detail: Option<Detail>,
}

impl<'a> TryFrom<ContentKeys<'a>> for Content<'a> {
    type Error = &'static str;

    fn try_from(keys: ContentKeys<'a>) -> Result<Content<'a>, &'static str> {
        let value = match keys.kind {
            PartKind::InputText | PartKind::OutputText => keys.text,
            PartKind::InputImage => keys.image_url,
            PartKind::InputAudio => keys.audio_url,
            PartKind::EncryptedContent => keys.encrypted_content,
        };
        value
            .map(|value| Content {
                kind: keys.kind,
                value,
            })
            .ok_or("a part lacks its content")
    }
}

/// A part of a message; encrypted content occurs elsewhere only.
#[derive(Deserialize)]
#[serde(try_from = "Content<'a>", bound(deserialize = "'de: 'a"))]
struct MessagePart<'a>(Content<'a>);

impl<'a> TryFrom<Content<'a>> for MessagePart<'a> {
    type Error = &'static str;

    fn try_from(part: Content<'a>) -> Result<MessagePart<'a>, &'static str> {
        match part.kind {
            PartKind::EncryptedContent => Err("a message holds no encrypted part"),
            _ => Ok(MessagePart(part)),
        }
    }
}

#[derive(Deserialize)]
struct AgentMessage<'a> {
    #[serde(rename = "author", borrow)]
    _author: Str<'a>,
    #[serde(rename = "recipient", borrow)]
    _recipient: Str<'a>,
    #[serde(borrow)]
    content: Vec<Content<'a>>,
}

impl AgentMessage<'_> {
    fn check(&self) -> Option<()> {
        let known = [PartKind::InputText, PartKind::EncryptedContent];
        self.content
            .iter()
            .all(|part| known.contains(&part.kind))
            .then_some(())
    }
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    summary: Vec<ReasoningPart<'a>>,
    #[serde(borrow)]
    content: Option<Vec<ReasoningPart<'a>>>,
    #[serde(rename = "encrypted_content", borrow)]
    _encrypted_content: Option<Str<'a>>,
    #[serde(rename = "id", borrow)]
    _id: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct ReasoningPart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(rename = "text", borrow)]
    _text: Str<'a>,
}

impl Reasoning<'_> {
    fn check(&self) -> Option<()> {
        let mut summary = self.summary.iter().map(|part| part.kind.as_str());
        let mut content = self.content.iter().flatten().map(|part| part.kind.as_str());
        let known = summary.all(|kind| kind == "summary_text")
            && content.all(|kind| matches!(kind, "reasoning_text" | "text"));
        known.then_some(())
    }
}

#[derive(Deserialize)]
struct ShellCall<'a> {
    #[serde(borrow)]
    call_id: Option<Text<'a>>,
    #[serde(rename = "status")]
    _status: ShellStatus,
    #[serde(borrow)]
    action: ShellAction<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShellStatus {
    Completed,
    InProgress,
    Incomplete,
}

#[derive(Deserialize)]
struct ShellAction<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(rename = "command", borrow)]
    _command: List<Str<'a>>,
    #[serde(rename = "timeout_ms")]
    _timeout_ms: Option<u64>,
    #[serde(rename = "working_directory", borrow)]
    _working_directory: Option<Str<'a>>,
    #[serde(rename = "env")]
    _env: Option<StrMap>,
    #[serde(rename = "user", borrow)]
    _user: Option<Str<'a>>,
}

impl ShellCall<'_> {
    fn check(&self) -> Option<()> {
        (self.action.kind.as_str() == "exec").then_some(())
    }
}

/// The output of a tool: one text, or parts.
#[derive(Deserialize)]
#[serde(transparent)]
struct Output<'a>(#[serde(borrow)] &'a RawValue);

impl Output<'_> {
    fn check(&self) -> Option<()> {
        match self.0.get().as_bytes().first()? {
            b'"' => Some(()),
            b'[' => {
                let parts: Vec<Content<'_>> = serde_json::from_str(self.0.get()).ok()?;
                parts
                    .iter()
                    .all(|part| part.kind != PartKind::OutputText)
                    .then_some(())
            }
            _ => None,
        }
    }
}

macro_rules! accepted {
    ($($name:ident { $($key:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Deserialize)]
        #[allow(dead_code)] // Read for their types only.
        struct $name<'a> {
            $(#[serde(borrow)] $key: $type,)*
        }
    )*};
}

accepted! {
    FunctionCall {
        id: Option<Str<'a>>, name: Str<'a>, namespace: Option<Str<'a>>, arguments: Str<'a>,
        call_id: Text<'a>,
    }
    FunctionCallOutput { id: Option<Str<'a>>, call_id: Text<'a>, output: Output<'a> }
    CustomToolCall {
        id: Option<Str<'a>>, status: Option<Str<'a>>, call_id: Str<'a>, name: Str<'a>,
        namespace: Option<Str<'a>>, input: Str<'a>,
    }
    CustomToolCallOutput {
        id: Option<Str<'a>>, call_id: Str<'a>, name: Option<Str<'a>>, output: Output<'a>,
    }
    ImageGenerationCall {
        id: Option<Str<'a>>, status: Str<'a>, revised_prompt: Option<Str<'a>>, result: Str<'a>,
    }
    Compaction { id: Option<Str<'a>>, encrypted_content: Str<'a> }
    ContextCompaction { id: Option<Str<'a>>, encrypted_content: Option<Str<'a>> }
    SearchAction { r#type: Str<'a>, query: Option<Str<'a>>, url: Option<Str<'a>> }
    WebSearchCall {
        id: Option<Str<'a>>, status: Option<Str<'a>>, action: Option<SearchAction<'a>>,
    }
}

#[derive(Deserialize)]
struct ToolSearchCall<'a> {
    #[serde(rename = "call_id", borrow)]
    _call_id: Option<Str<'a>>,
    #[serde(rename = "status", borrow)]
    _status: Option<Str<'a>>,
    #[serde(rename = "execution", borrow)]
    _execution: Str<'a>,
    #[serde(rename = "arguments")]
    _arguments: IgnoredAny,
}

#[derive(Deserialize)]
struct ToolSearchOutput<'a> {
    #[serde(rename = "call_id", borrow)]
    _call_id: Option<Str<'a>>,
    #[serde(rename = "status", borrow)]
    _status: Str<'a>,
    #[serde(rename = "execution", borrow)]
    _execution: Str<'a>,
    #[serde(rename = "tools")]
    _tools: Array,
}

#[derive(Deserialize)]
struct AdditionalTools<'a> {
    #[serde(rename = "role", borrow)]
    _role: Str<'a>,
    #[serde(rename = "tools")]
    _tools: Array,
}
