//! Hook prompts inside user messages.

use super::*;

fn message(parts: &[&str]) -> Value {
    let content: Vec<Value> = parts
        .iter()
        .map(|text| json!({ "type": "input_text", "text": text }))
        .collect();
    json!({ "type": "message", "role": "user", "content": content })
}

/// Fragments of a message as (run, text); `None` when it is not a hook prompt.
fn fragments(message: &Value) -> Option<Vec<(String, String)>> {
    let text = message.to_string();
    let head = hook_prompt_head(raw(&text));
    let line = line_of("response_item", &text);
    let served = render("it", &[line.as_bytes()]);
    assert_eq!(head.is_some(), served.is_some(), "{text}");
    let fragments = served?["fragments"].as_array()?.clone();
    let field = |fragment: &Value, name: &str| fragment[name].as_str().map(str::to_owned);
    fragments
        .iter()
        .map(|one| Some((field(one, "hookRunId")?, field(one, "text")?)))
        .collect()
}

fn check(xml: &str, expect: Option<(&str, &str)>) {
    let expect = expect.map(|(run, text)| vec![(run.to_owned(), text.to_owned())]);
    assert_eq!(fragments(&message(&[xml])), expect, "{xml}");
}

#[test]
fn one_element_is_one_fragment() {
    check(
        r#"<hook_prompt hook_run_id="r">x</hook_prompt>"#,
        Some(("r", "x")),
    );
    check(
        r#" <hook_prompt hook_run_id='r'  > x y </hook_prompt > "#,
        Some(("r", "x y")),
    );
    check(
        r#"<hook_prompt hook_run_id="r">x</hook_prompt>tail"#,
        Some(("r", "x")),
    );
    check(
        r#"<hook_prompt a="1" hook_run_id="&lt;r&#x41;">x</hook_prompt>"#,
        Some(("<rA", "x")),
    );
    let mixed = r#"<hook_prompt hook_run_id="r">a &amp; <!-- c --><![CDATA[<b>]]></hook_prompt>"#;
    check(mixed, Some(("r", "a & <b>")));
}

#[test]
fn anything_else_is_a_plain_message() {
    check(r#"<hook_prompt hook_run_id=" ">x</hook_prompt>"#, None);
    check(r#"<hook_prompt hook_run_id="r"></hook_prompt>"#, None);
    check(r#"<hook_prompt hook_run_id="r"/>"#, None);
    check(r#"<hook_prompt hook_run_id="r">x"#, None);
    check(r#"<hook_prompt hook_run_id="r">x</hook_promp>"#, None);
    check(r#"<hook_prompt hook_run_id="r">&nope;</hook_prompt>"#, None);
    check(r#"<hook_prompt hook_run_id="r><"#, None);
    check(r#"<hook_prompt>x</hook_prompt>"#, None);
    check(r#"<hook_prompts hook_run_id="r">x</hook_prompts>"#, None);
    check(
        r#"hook_prompt <hook_prompt hook_run_id="r">x</hook_prompt>"#,
        None,
    );
    assert_eq!(fragments(&message(&[])), None);
    let element = r#"<hook_prompt hook_run_id="r">x</hook_prompt>"#;
    assert_eq!(fragments(&message(&[element, "plain"])), None);
    assert_eq!(
        fragments(&message(&[element, element])).map(|found| found.len()),
        Some(2)
    );
    let mut assistant = message(&[element]);
    assistant["role"] = json!("assistant");
    assert_eq!(fragments(&assistant), None);
}

#[test]
fn the_message_id_is_kept() {
    let mut message = message(&[r#"<hook_prompt hook_run_id="r">x</hook_prompt>"#]);
    let text = message.to_string();
    assert_eq!(hook_prompt_head(raw(&text)).expect("a prompt").id, None);
    message["id"] = json!("m\n");
    let text = message.to_string();
    assert_eq!(
        hook_prompt_head(raw(&text))
            .expect("a prompt")
            .id
            .as_deref(),
        Some("m\n")
    );
}
