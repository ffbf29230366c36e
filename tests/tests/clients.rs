//! "Done when" 2: the real SDKs do chat, streaming, tools, structured output, model listing and embeddings through the
//! gate against each shape of vendor, and client, ledger and vendor agree on the usage of every answer.

use serde_json::Value;
use sim::{Bill, Dialect, ModelSpec, VendorSpec};
use tollgate_tests::{Report, Sdk, Stack, setup};

/// `shaped` is a chat model of the vendor, `embedder` an embedding model.
const CONFIG: &str = r#"
[models.shaped]
targets = ["vendor/chat"]
[models.embedder]
targets = ["vendor/embed"]
"#;
const WITHOUT_EMBEDDINGS: &str = r#"
[models.shaped]
targets = ["vendor/chat"]
"#;

async fn agree(sdk: Sdk, spec: VendorSpec, embeds: bool) {
    let (chat, _) = setup::models(spec.dialect);
    let config = if embeds { CONFIG } else { WITHOUT_EMBEDDINGS };
    let config = config.replace("vendor/chat", &format!("vendor/{}", chat.id));
    let stack = Stack::start([spec.models([chat, ModelSpec::embedding("embed", 16)])], &config).await;
    let models: &[&str] = if embeds { &["shaped", "embedder"] } else { &["shaped"] };
    let report = sdk.drive(&stack.url(), models).await;
    assert_eq!(report.contains_key("embeddings"), embeds);

    let bills = stack.sim("vendor").bills();
    // Anthropic does not say how much of its output was reasoning.
    let tells_reasoning = stack.sim("vendor").spec().dialect != Dialect::Anthropic;
    let billed = |bill: &Bill| billed(bill, tells_reasoning);
    assert!(bills.len() >= report.len() - 2, "every answer was billed: {}", bills.len());
    let rows = stack.settled(&bills).await;
    for bill in &bills {
        let id = bill.request_id.as_deref().expect("our id travels upstream");
        let row = rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no row for {bill:?}"));
        assert_eq!(ledger_usage(row), billed(bill), "{row:#}");
        assert_eq!(row["usage"]["estimated"], false, "{row:#}");
        if let Some(usage) = seen(&report, id) {
            assert_eq!(client_usage(usage), billed(bill), "{bill:?}");
        }
    }
    let checked = report.values().filter(|seen| seen.usage.is_some()).count();
    assert!(checked >= 5, "most features report usage: {report:?}");
}

fn seen<'r>(report: &'r Report, id: &str) -> Option<&'r Value> {
    report.values().find(|seen| seen.request_id.as_deref() == Some(id))?.usage.as_ref()
}

/// All input, of it cached, all output, of it reasoning: what OpenAI's usage object can say.
type Usage = [u64; 4];

fn billed(bill: &Bill, tells_reasoning: bool) -> Usage {
    let tally = bill.tally;
    let reasoning = if tells_reasoning { tally.reasoning } else { 0 };
    [tally.input(), tally.cached, tally.output + tally.reasoning, reasoning]
}

fn client_usage(usage: &Value) -> Usage {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (input, output) = (count("/prompt_tokens"), count("/completion_tokens"));
    assert_eq!(count("/total_tokens"), input + output, "{usage}");
    let cached = count("/prompt_tokens_details/cached_tokens");
    [input, cached, output, count("/completion_tokens_details/reasoning_tokens")]
}

fn ledger_usage(row: &Value) -> Usage {
    let usage = &row["usage"];
    ["input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"]
        .map(|name| usage[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row:#}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_python_against_an_openai_shaped_vendor() {
    agree(Sdk::Python, VendorSpec::openai("vendor"), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_python_against_an_anthropic_shaped_vendor() {
    agree(Sdk::Python, VendorSpec::anthropic("vendor"), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_python_against_a_gemini_shaped_vendor() {
    agree(Sdk::Python, VendorSpec::gemini("vendor"), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_node_against_an_openai_shaped_vendor() {
    agree(Sdk::Node, VendorSpec::openai("vendor"), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_node_against_an_anthropic_shaped_vendor() {
    agree(Sdk::Node, VendorSpec::anthropic("vendor"), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_node_against_a_gemini_shaped_vendor() {
    agree(Sdk::Node, VendorSpec::gemini("vendor"), true).await;
}
