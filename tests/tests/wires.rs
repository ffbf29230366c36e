//! The translating wires against simulated vendors that check requests as the real ones do: an OpenAI client's
//! conversation goes in, an OpenAI answer comes out, and the usage is what the vendor billed.

use bytes::{Bytes, BytesMut};
use catalog::{Facts, Quirks, Usage};
use serde_json::{Value, json};
use sim::{ModelSpec, Sim, VendorSpec};
use tollgate_tests::Client;
use wire::{Choice, Content, Dialect, Endpoint, Op, Request, sse};

/// A vendor and what it serves.
struct Vendor {
    sim: Sim,
    dialect: Dialect,
    model: &'static str,
}

impl Vendor {
    async fn anthropic(model: &'static str) -> Self {
        let spec = VendorSpec::anthropic("north").models([ModelSpec::new(model)]);
        Self { sim: Sim::start(spec).await.unwrap(), dialect: Dialect::Anthropic, model }
    }

    async fn gemini(model: &'static str) -> Self {
        let spec =
            VendorSpec::gemini("south").models([ModelSpec::new(model), ModelSpec::embedding("vectors", 8)]);
        Self { sim: Sim::start(spec).await.unwrap(), dialect: Dialect::Gemini, model }
    }

    async fn all() -> Vec<Self> {
        vec![
            Self::anthropic("claude-sonnet-4-5").await,
            Self::anthropic("claude-opus-4-7").await,
            Self::gemini("gemini-2.5-flash").await,
            Self::gemini("gemini-3-flash-preview").await,
        ]
    }

    /// What the client gets for `body`, and what it used.
    async fn ask(&self, op: Op, model: &str, body: &Value) -> Told {
        let door = wire::door(Dialect::OpenAi).unwrap();
        let request = door.read(op, Bytes::from(body.to_string())).unwrap();
        let facts = Facts { max_output: Some(32_000), ..Facts::default() };
        let to = Endpoint { model, quirks: &Quirks::default(), facts: &facts, read_text: true, moved: false };
        let mut sent = wire::wire(self.dialect).unwrap().begin(&request, &to).unwrap();
        let mut client = Client::new(self.sim.addr()).with("x-api-key", "k").with("x-goog-api-key", "k");
        for (name, value) in &sent.outbound.headers {
            client = client.with(name.as_str(), value.to_str().unwrap());
        }
        let url = self.sim.base_url();
        let prefix = url.split_once("//").unwrap().1.split_once('/').unwrap().1;
        let path = format!("/{prefix}{}", sent.outbound.path);
        let reply = client.post_bytes(&path, sent.outbound.body.concat()).await;
        assert!(reply.status.is_success(), "{}: {}", self.model, reply.text());
        if !request.view.stream {
            let answer = sent.reply.whole(&reply.headers, reply.body).unwrap();
            let written = serde_json::from_slice(&door.writer(&request).whole(&answer)).unwrap();
            let choices = if let Content::Choices(choices) = answer.content { choices } else { Vec::new() };
            return Told { written, choices, usage: answer.ending.usage };
        }
        streamed(&request, &mut *sent.reply, reply.body)
    }

    async fn chat(&self, body: &Value) -> Told {
        self.ask(Op::Chat, self.model, body).await
    }

    /// The newest bill in our buckets.
    fn billed(&self) -> Usage {
        let mut tally = self.sim.bills().last().expect("a bill").tally;
        if self.dialect == Dialect::Anthropic {
            // This vendor does not say how much of the output was reasoning.
            tally.output += std::mem::take(&mut tally.reasoning);
        }
        Usage {
            input: tally.fresh,
            cache_read: tally.cached,
            cache_write_5m: tally.write_5m,
            cache_write_1h: tally.write_1h,
            output: tally.output,
            reasoning: tally.reasoning,
            basis: catalog::Basis::Reported,
            ..Usage::default()
        }
    }
}

/// An answer as the client and the ledger see it.
struct Told {
    /// The whole answer in OpenAI's shape; `null` for streams.
    written: Value,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

fn streamed(request: &Request, reply: &mut dyn wire::Reply, body: Bytes) -> Told {
    let mut writer = wire::door(Dialect::OpenAi).unwrap().writer(request);
    let mut splitter = sse::Splitter::new(1 << 20);
    let (mut pieces, mut out) = (Vec::new(), BytesMut::new());
    splitter.push(body);
    for frame in splitter.by_ref() {
        let mut chunks = Vec::new();
        reply.frame(frame.unwrap(), &mut chunks).unwrap();
        for chunk in chunks {
            pieces.extend(chunk.pieces.clone());
            writer.chunk(chunk, &mut out);
        }
    }
    let ending = reply.end();
    assert!(ending.complete);
    writer.end(&ending, &mut out);
    assert!(out.ends_with(b"data: [DONE]\n\n"));
    Told { written: Value::Null, choices: Choice::collect(pieces), usage: ending.usage }
}

fn question(text: &str) -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false});
    json!({
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}],
        "tools": [
            {"type": "function", "function": {"name": "weather", "parameters": parameters}},
            {"type": "function", "function": {"name": "now"}},
        ],
    })
}

fn with(mut body: Value, extra: &Value) -> Value {
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

/// What twins share: their ids differ, and so does the white space in streamed arguments.
fn essence(mut choices: Vec<Choice>) -> Vec<Choice> {
    for call in choices.iter_mut().flat_map(|choice| &mut choice.tool_calls) {
        assert!(!std::mem::take(&mut call.id).is_empty());
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        call.arguments = arguments.to_string();
    }
    choices
}

#[tokio::test]
async fn fn1_01_twins_are_the_same_and_use_what_the_vendor_billed() {
    let prompts = [
        "Say something. [[say:Smørbrød 🍞 at noon]]",
        "Both, please. [[think:20]] [[tool:weather {\"city\": \"Oslo\"}]] [[tool:now {}]]",
        "[[cached:8]] What was that?",
        "[[refusal]] Something bad.",
        "[[filter]] Something worse.",
        "[[len:400]] A long one.",
    ];
    for vendor in Vendor::all().await {
        for prompt in prompts {
            let whole = vendor.chat(&question(prompt)).await;
            assert_eq!(whole.usage, Some(vendor.billed()), "{} {prompt}", vendor.model);
            let stream =
                with(question(prompt), &json!({"stream": true, "stream_options": {"include_usage": true}}));
            let stream = vendor.chat(&stream).await;
            assert_eq!(stream.usage, Some(vendor.billed()), "{} {prompt}", vendor.model);
            assert_eq!(essence(stream.choices), essence(whole.choices), "{} {prompt}", vendor.model);
        }
    }
}

#[tokio::test]
async fn fn2_13_14_an_agents_loop_carries_reasoning_and_signatures_back() {
    for vendor in Vendor::all().await {
        let ask = "Both, please. [[think:20]] [[tool:weather {\"city\": \"Oslo\"}]] [[tool:now {}]]";
        let first = with(question(ask), &json!({"reasoning_effort": "low"}));
        let told = vendor.chat(&first).await;
        let said = told.written["choices"][0]["message"].clone();
        assert_eq!(told.written["choices"][0]["finish_reason"], "tool_calls");
        let calls = said["tool_calls"].as_array().unwrap().clone();
        assert_eq!(calls.len(), 2, "{}", vendor.model);
        let mut second = first.clone();
        let messages = second["messages"].as_array_mut().unwrap();
        messages.push(said);
        // Clients answer in whatever order their tools are done.
        for call in calls.iter().rev() {
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "rain"}));
        }
        let told = vendor.chat(&second).await;
        let text = told.choices[0].text.clone().unwrap_or_default();
        assert!(text.contains("The tool answered"), "{}: {text}", vendor.model);
        assert_eq!(told.usage, Some(vendor.billed()));
    }
}

#[tokio::test]
async fn fn2_19_a_schema_holds_the_answer() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {
        "type": "object", "$defs": {"Kind": {"enum": ["calm", "wild"]}},
        "properties": {"name": {"type": "string"}, "kind": {"$ref": "#/$defs/Kind"},
            "age": {"type": ["integer", "null"]}},
        "required": ["name", "kind", "age"], "additionalProperties": false}}});
    for vendor in Vendor::all().await {
        let mut body = with(question("Describe it."), &json!({"response_format": format}));
        body.as_object_mut().unwrap().remove("tools");
        let told = vendor.chat(&body).await;
        let answer: Value = serde_json::from_str(told.choices[0].text.as_deref().unwrap()).unwrap();
        assert!(answer["kind"] == "calm" && answer["name"].is_string(), "{}: {answer}", vendor.model);
    }
}

#[tokio::test]
async fn images_sampling_and_forced_tools_are_taken() {
    let parts = json!([{"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]);
    for vendor in Vendor::all().await {
        let mut body = with(
            question("-"),
            &json!({"temperature": 1.4, "top_p": 0.9, "stop": ["###"], "tool_choice": "required", "user": "u",
                "reasoning_effort": "medium", "max_completion_tokens": 3000}),
        );
        body["messages"][1]["content"] = parts.clone();
        if vendor.dialect == Dialect::Gemini {
            // One scale there.
            body["temperature"] = json!(1.0);
        }
        let told = vendor.chat(&body).await;
        assert_eq!(told.choices[0].tool_calls.len(), 1, "{}", vendor.model);
        assert_eq!(told.usage, Some(vendor.billed()));
    }
}

#[tokio::test]
async fn fn2_35_embeddings_come_from_gemini_in_both_encodings() {
    let vendor = Vendor::gemini("gemini-2.5-flash").await;
    let body = json!({"model": "m", "input": ["one", "two"], "dimensions": 4});
    let floats = vendor.ask(Op::Embedding, "vectors", &body).await.written;
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    assert_eq!(floats["data"][1]["embedding"].as_array().unwrap().len(), 4);
    let packed = vendor
        .ask(Op::Embedding, "vectors", &with(body, &json!({"encoding_format": "base64"})))
        .await
        .written;
    assert!(packed["data"][1]["embedding"].is_string());
}
