//! Owns one turn of a made-up session: what is asked, done, said and counted.

use std::io;

use super::text::quote;
use super::{LineWriter, RolloutMode};

/// A turn that is being written.
pub(crate) struct Turn<'w, 'a> {
    to: &'w mut LineWriter<'a>,
    id: String,
    started_at: i64,
}

impl<'w, 'a> Turn<'w, 'a> {
    pub(crate) fn begin(to: &'w mut LineWriter<'a>) -> io::Result<Turn<'w, 'a>> {
        let id = to.rng.uuid(to.now_ms);
        let started_at = to.now_ms / 1000;
        to.event(&format!(
            "{{\"type\":\"task_started\",\"turn_id\":\"{id}\",\"started_at\":{started_at},\
             \"model_context_window\":272000,\"collaboration_mode_kind\":\"default\"}}"
        ))?;
        to.record(
            "turn_context",
            &format!(
                "{{\"turn_id\":\"{id}\",\"cwd\":\"/home/dev/project\",\
                 \"approval_policy\":\"on-request\",\
                 \"sandbox_policy\":{{\"type\":\"danger-full-access\"}},\"model\":\"gpt-5\",\
                 \"effort\":\"medium\",\"summary\":\"auto\"}}"
            ),
        )?;
        if to.rng.chance(20) {
            let state = quote(&to.rng.prose(30));
            to.record(
                "world_state",
                &format!("{{\"full\":true,\"state\":{{\"note\":{state}}}}}"),
            )?;
        }
        Ok(Turn { to, id, started_at })
    }

    pub(crate) fn play(&mut self) -> io::Result<()> {
        self.user()?;
        let steps = 2 + self.to.rng.below(10);
        for _ in 0..steps {
            match self.to.rng.below(100) {
                0..=54 => self.command()?,
                55..=69 => self.change()?,
                70..=79 => self.tool()?,
                80..=84 => self.search()?,
                _ => self.agent("commentary")?,
            }
            if self.to.rng.chance(40) {
                self.reasoning()?;
            }
            self.tokens()?;
        }
        match self.to.rng.below(100) {
            0..=3 => self.abort(),
            _ => self.complete(),
        }
    }

    fn is_paginated(&self) -> bool {
        self.to.mode == RolloutMode::Paginated
    }

    /// A snapshot of an item, in a paginated rollout.
    fn item(&mut self, item: &str) -> io::Result<()> {
        let (thread, at) = (self.to.thread.clone(), self.to.now_ms);
        self.to.event(&format!(
            "{{\"type\":\"item_completed\",\"thread_id\":\"{thread}\",\"turn_id\":\"{}\",\
             \"item\":{item},\"completed_at_ms\":{at}}}",
            self.id
        ))
    }

    fn user(&mut self) -> io::Result<()> {
        let words = self.to.rng.size(40).max(5);
        let asked = quote(&self.to.rng.prose(words));
        let image = self.to.rng.chance(3).then(|| self.to.rng.base64(40_000));
        let shown = image.as_ref().map_or_else(String::new, |data| {
            format!(",{{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,{data}\"}}")
        });
        self.to.response(&format!(
            "{{\"type\":\"message\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\
             \"text\":{asked}}}{shown}]}}"
        ))?;
        if self.is_paginated() {
            let id = self.to.rng.uuid(self.to.now_ms);
            let shown = image.map_or_else(String::new, |data| {
                format!(",{{\"type\":\"image\",\"image_url\":\"data:image/png;base64,{data}\"}}")
            });
            return self.item(&format!(
                "{{\"type\":\"UserMessage\",\"id\":\"{id}\",\"content\":[{{\"type\":\"text\",\
                 \"text\":{asked},\"text_elements\":[]}}{shown}]}}"
            ));
        }
        let images = image.map_or_else(String::new, |data| {
            format!(",\"images\":[\"data:image/png;base64,{data}\"]")
        });
        self.to.event(&format!(
            "{{\"type\":\"user_message\",\"message\":{asked}{images},\"local_images\":[],\
             \"text_elements\":[]}}"
        ))
    }

    fn agent(&mut self, phase: &str) -> io::Result<()> {
        let words = self.to.rng.size(90).max(8);
        let said = quote(&self.to.rng.prose(words));
        let id = format!("msg_{:016x}", self.to.rng.next());
        self.to.response(&format!(
            "{{\"type\":\"message\",\"id\":\"{id}\",\"role\":\"assistant\",\
             \"content\":[{{\"type\":\"output_text\",\"text\":{said}}}],\"phase\":\"{phase}\"}}"
        ))?;
        if self.is_paginated() {
            return self.item(&format!(
                "{{\"type\":\"AgentMessage\",\"id\":\"{id}\",\"content\":[{{\"type\":\"Text\",\
                 \"text\":{said}}}],\"phase\":\"{phase}\"}}"
            ));
        }
        self.to.event(&format!(
            "{{\"type\":\"agent_message\",\"message\":{said},\"phase\":\"{phase}\",\
             \"memory_citation\":null}}"
        ))
    }

    fn reasoning(&mut self) -> io::Result<()> {
        let thought = quote(&self.to.rng.prose(60));
        let sealed_bytes = self.to.rng.size(400);
        let sealed = self.to.rng.base64(sealed_bytes);
        let id = format!("rs_{:016x}", self.to.rng.next());
        self.to.response(&format!(
            "{{\"type\":\"reasoning\",\"id\":\"{id}\",\"summary\":[{{\"type\":\"summary_text\",\
             \"text\":{thought}}}],\"encrypted_content\":\"{sealed}\"}}"
        ))?;
        if self.is_paginated() {
            return self.item(&format!(
                "{{\"type\":\"Reasoning\",\"id\":\"{id}\",\"summary_text\":[{thought}],\
                 \"raw_content\":[]}}"
            ));
        }
        self.to.event(&format!(
            "{{\"type\":\"agent_reasoning\",\"text\":{thought}}}"
        ))
    }

    fn command(&mut self) -> io::Result<()> {
        let path = self.to.rng.path();
        let call = format!("call_{:016x}", self.to.rng.next());
        let line = format!("sed -n 1,200p {path}");
        let arguments = quote(&format!(
            "{{\"command\":[\"bash\",\"-lc\",{}]}}",
            quote(&line)
        ));
        self.to.response(&format!(
            "{{\"type\":\"function_call\",\"name\":\"shell\",\"arguments\":{arguments},\
             \"call_id\":\"{call}\"}}"
        ))?;
        let bytes = self.to.rng.size(2600);
        let output = quote(&self.to.rng.output(bytes));
        self.to.response(&format!(
            "{{\"type\":\"function_call_output\",\"call_id\":\"{call}\",\"output\":{output}}}"
        ))?;
        if !self.is_paginated() {
            return Ok(());
        }
        let millis = 1 + self.to.rng.below(900);
        let shown = quote(&line);
        self.item(&format!(
            "{{\"type\":\"CommandExecution\",\"id\":\"{call}\",\"command\":[\"bash\",\"-lc\",\
             {shown}],\"cwd\":\"file:///home/dev/project\",\"parsed_cmd\":[{{\"type\":\"read\",\
             \"cmd\":{shown},\"name\":\"{path}\",\"path\":\"{path}\"}}],\"source\":\"agent\",\
             \"status\":\"completed\",\"aggregated_output\":{output},\"exit_code\":0,\
             \"duration\":{{\"secs\":0,\"nanos\":{millis}000000}}}}"
        ))
    }

    fn change(&mut self) -> io::Result<()> {
        let path = self.to.rng.path();
        let call = format!("call_{:016x}", self.to.rng.next());
        let bytes = self.to.rng.size(1100);
        let diff = quote(&self.to.rng.output(bytes));
        self.to.response(&format!(
            "{{\"type\":\"custom_tool_call\",\"call_id\":\"{call}\",\"name\":\"apply_patch\",\
             \"input\":{diff}}}"
        ))?;
        self.to.response(&format!(
            "{{\"type\":\"custom_tool_call_output\",\"call_id\":\"{call}\",\
             \"output\":\"Success. Updated the following files:\\nM {path}\\n\"}}"
        ))?;
        let changes = format!(
            "{{\"/home/dev/project/{path}\":{{\"type\":\"update\",\"unified_diff\":{diff},\
             \"move_path\":null}}}}"
        );
        if self.is_paginated() {
            return self.item(&format!(
                "{{\"type\":\"FileChange\",\"id\":\"{call}\",\"changes\":{changes},\
                 \"status\":\"completed\"}}"
            ));
        }
        self.to.event(&format!(
            "{{\"type\":\"patch_apply_end\",\"call_id\":\"{call}\",\"turn_id\":\"{}\",\
             \"stdout\":\"\",\"stderr\":\"\",\"success\":true,\"changes\":{changes},\
             \"status\":\"completed\"}}",
            self.id
        ))
    }

    fn tool(&mut self) -> io::Result<()> {
        let call = format!("call_{:016x}", self.to.rng.next());
        let bytes = self.to.rng.size(1200);
        let found = quote(&self.to.rng.output(bytes));
        let query = quote(&self.to.rng.prose(6));
        let content = format!("[{{\"type\":\"text\",\"text\":{found}}}]");
        let arguments = quote(&format!("{{\"query\":{query}}}"));
        self.to.response(&format!(
            "{{\"type\":\"function_call\",\"name\":\"search\",\"namespace\":\"docs\",\
             \"arguments\":{arguments},\"call_id\":\"{call}\"}}"
        ))?;
        self.to.response(&format!(
            "{{\"type\":\"function_call_output\",\"call_id\":\"{call}\",\"output\":{found}}}"
        ))?;
        if self.is_paginated() {
            return self.item(&format!(
                "{{\"type\":\"McpToolCall\",\"id\":\"{call}\",\"server\":\"docs\",\
                 \"tool\":\"search\",\"arguments\":{{\"query\":{query}}},\
                 \"status\":\"completed\",\"result\":{{\"content\":{content}}},\
                 \"duration\":{{\"secs\":1,\"nanos\":0}}}}"
            ));
        }
        self.to.event(&format!(
            "{{\"type\":\"mcp_tool_call_end\",\"call_id\":\"{call}\",\
             \"invocation\":{{\"server\":\"docs\",\"tool\":\"search\",\
             \"arguments\":{{\"query\":{query}}}}},\"duration\":{{\"secs\":1,\"nanos\":0}},\
             \"result\":{{\"Ok\":{{\"content\":{content}}}}}}}"
        ))
    }

    fn search(&mut self) -> io::Result<()> {
        let call = format!("ws_{:016x}", self.to.rng.next());
        let query = quote(&self.to.rng.prose(5));
        let action = format!("{{\"type\":\"search\",\"query\":{query}}}");
        self.to.response(&format!(
            "{{\"type\":\"web_search_call\",\"id\":\"{call}\",\"status\":\"completed\",\
             \"action\":{action}}}"
        ))?;
        if self.is_paginated() {
            return self.item(&format!(
                "{{\"type\":\"WebSearch\",\"id\":\"{call}\",\"query\":{query},\
                 \"action\":{action}}}"
            ));
        }
        self.to.event(&format!(
            "{{\"type\":\"web_search_end\",\"call_id\":\"{call}\",\"query\":{query},\
             \"action\":{action}}}"
        ))
    }

    fn tokens(&mut self) -> io::Result<()> {
        self.to.tokens += 900 + self.to.rng.below(4000);
        let (total, last) = (self.to.tokens, self.to.rng.below(9000));
        let usage = |tokens: u64| {
            format!(
                "{{\"input_tokens\":{tokens},\"cached_input_tokens\":{},\"output_tokens\":{},\
                 \"reasoning_output_tokens\":{},\"total_tokens\":{tokens}}}",
                tokens / 2,
                tokens / 9,
                tokens / 20
            )
        };
        self.to.event(&format!(
            "{{\"type\":\"token_count\",\"info\":{{\"total_token_usage\":{},\
             \"last_token_usage\":{},\"model_context_window\":272000}},\
             \"rate_limits\":{{\"primary\":{{\"used_percent\":{}.0,\"window_minutes\":300,\
             \"resets_at\":{}}},\"secondary\":{{\"used_percent\":{}.0,\
             \"window_minutes\":10080,\"resets_at\":{}}},\"credits\":null,\
             \"plan_type\":\"pro\"}}}}",
            usage(total),
            usage(last),
            total / 5000 % 100,
            self.to.now_ms / 1000 + 18_000,
            total / 90_000 % 100,
            self.to.now_ms / 1000 + 604_800
        ))
    }

    fn complete(&mut self) -> io::Result<()> {
        self.agent("final_answer")?;
        let (id, started) = (&self.id, self.started_at);
        let completed = self.to.now_ms / 1000;
        let millis = (completed - started) * 1000;
        let error = if self.to.rng.chance(3) {
            ",\"error\":{\"message\":\"the model could not be reached\",\"codex_error_info\":null}"
        } else {
            ""
        };
        let payload = format!(
            "{{\"type\":\"task_complete\",\"turn_id\":\"{id}\",\"last_agent_message\":null{error},\
             \"started_at\":{started},\"completed_at\":{completed},\"duration_ms\":{millis}}}"
        );
        self.to.event(&payload)
    }

    fn abort(&mut self) -> io::Result<()> {
        let (id, started) = (&self.id, self.started_at);
        let completed = self.to.now_ms / 1000;
        let payload = format!(
            "{{\"type\":\"turn_aborted\",\"turn_id\":\"{id}\",\"reason\":\"interrupted\",\
             \"started_at\":{started},\"completed_at\":{completed},\"duration_ms\":1}}"
        );
        self.to.event(&payload)
    }
}
