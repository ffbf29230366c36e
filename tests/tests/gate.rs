//! The thinnest path that works: a client, the gate, a simulated vendor, the ledger.

use std::sync::Arc;
use std::time::Duration;

use gateway::config::Config;
use gateway::config::store::ConfigStore;
use ledger::{Ledger, Reader, RequestQuery, SpendQuery};
use serde_json::json;
use sim::{Sim, VendorSpec};
use tollgate_tests::Client;

fn gate(toml: &str, dir: &std::path::Path) -> gateway::Running {
    let config = Config::from_toml(toml).unwrap_or_else(|errors| panic!("{errors}"));
    let (ledger, _) = Ledger::open(dir, ledger::Options::default()).unwrap();
    let listener = gateway::server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    gateway::start(gateway::StartOptions {
        config: Arc::new(ConfigStore::fixed(config)),
        ledger,
        listener,
        data_dir: dir.to_owned(),
        admin_token: "admin".to_owned(),
        grace: Duration::from_secs(5),
    })
    .unwrap()
}

#[tokio::test]
async fn a_call_fails_over_is_answered_and_lands_in_the_ledger() {
    let (north, south) = (
        Sim::start(VendorSpec::openai("north")).await.unwrap(),
        Sim::start(VendorSpec::openai("south")).await.unwrap(),
    );
    let toml = format!(
        "[providers.north]\nwire = \"openai\"\nbase_url = \"{}\"\napi_key = \"k-north-000000\"\nallow_private = true\n\
         [providers.south]\nwire = \"openai\"\nbase_url = \"{}\"\napi_key = \"k-south-000000\"\nallow_private = true\n\
         [models.cheap]\ntargets = [\"north/m\", \"south/m\"]\n",
        north.base_url(),
        south.base_url(),
    );
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(&toml, dir.path());
    let client = Client::new(gate.addr());
    let ask = |stream: bool| json!({"model": "cheap", "stream": stream, "messages": [{"role": "user", "content": "hello [[len:20]]"}]});

    let whole = client.post("/v1/chat/completions", &ask(false)).await;
    assert_eq!(
        (whole.status.as_u16(), whole.header("x-tollgate-model")),
        (200, "north/m"),
        "{}",
        whole.text()
    );
    let mut stream = client.stream("/v1/chat/completions", &ask(true)).await;
    assert_eq!(stream.data().await.last().map(String::as_str), Some("[DONE]"));
    north.kill().await;
    let saved = client.post("/v1/chat/completions", &ask(false)).await;
    assert_eq!(
        (saved.status.as_u16(), saved.header("x-tollgate-model")),
        (200, "south/m"),
        "{}",
        saved.text()
    );
    assert_eq!(saved.header("x-tollgate-attempts"), "2");

    gate.shutdown().await;
    let reader = Reader::open(dir.path()).unwrap();
    let page = reader.requests(&RequestQuery::default()).unwrap();
    // requests of one millisecond have no order
    let mut attempts: Vec<usize> = page.requests.iter().map(|r| r.attempts.len()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 2]);
    let spend = reader.spend(&SpendQuery::default()).unwrap();
    assert_eq!((spend.total.requests, spend.total.attempts, spend.total.output_tokens), (3, 4, 60));
}

/// An answer that ends while it is held is asked for its ending twice, by the gate and by the stream: the second must not
/// lose its usage.
#[tokio::test]
async fn a_held_stream_keeps_its_reported_usage_in_every_dialect() {
    let dialects = [
        (VendorSpec::openai("v"), "openai", "authorization"),
        (VendorSpec::anthropic("v"), "anthropic", "x-api-key"),
        (VendorSpec::gemini("v"), "gemini", "x-goog-api-key"),
    ];
    for (spec, wire, header) in dialects {
        let vendor = Sim::start(spec).await.unwrap();
        let auth =
            if wire == "openai" { String::new() } else { format!("auth = {{ header = \"{header}\" }}\n") };
        let toml = format!(
            "[providers.v]\nwire = \"{wire}\"\nbase_url = \"{}\"\napi_key = \"k-v-000000\"\nallow_private = true\n{auth}\
             [routes.r]\ndefault = \"v/m\"\nescalate = \"v/flagship\"\nescalate_after = [\"empty\", \"repetition\"]\n",
            vendor.base_url(),
        );
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(&toml, dir.path());
        let ask = json!({"model": "r", "stream": true, "max_tokens": 100,
            "messages": [{"role": "user", "content": "hello [[len:20]]"}]});
        let mut stream = Client::new(gate.addr()).stream("/v1/chat/completions", &ask).await;
        assert_eq!(stream.data().await.last().map(String::as_str), Some("[DONE]"), "{wire}");
        gate.shutdown().await;
        let page = Reader::open(dir.path()).unwrap().requests(&RequestQuery::default()).unwrap();
        let attempt = &page.requests[0].attempts[0];
        let bill = vendor.bills().remove(0).tally;
        assert_eq!((attempt.outcome.as_str(), attempt.usage.estimated), ("ok", false), "{wire}");
        assert_eq!(
            (attempt.usage.input_tokens, attempt.usage.output_tokens),
            (bill.input(), bill.output),
            "{wire}"
        );
    }
}
