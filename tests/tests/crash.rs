//! "Done when" 4, and faults rows 9 and 30, on the real binary: kill -9 loses and doubles nothing, SIGTERM cuts nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sim::{ModelSpec, Sim, Timing, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Client, Server, all_requests, bounded, poll, setup, spec};

const MODELS: &str = "[models.m]\ntargets = [\"vendor/priced\"]\n";

/// A vendor whose answers take their time.
async fn slow_vendor(gap: Duration) -> Sim {
    let mut spec = VendorSpec::openai("vendor").models([ModelSpec::new("priced")]);
    spec.timing = Timing { gap, ..Timing::default() };
    Sim::start(spec).await.expect("a port")
}

fn asks(tokens: u64) -> Value {
    json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": format!("[[len:{tokens}]] Go on.")}],
    })
}

/// Opens streams and reads them in tasks of their own until they end or break. Each task returns its payloads.
/// `begun` goes up with each whose answer has begun.
fn open_streams(
    client: &Client,
    count: usize,
    tokens: u64,
    begun: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<Option<Vec<String>>>> {
    (0..count)
        .map(|_| {
            let (client, begun) = (client.clone(), Arc::clone(begun));
            tokio::spawn(async move {
                // A server that is killed before it answers makes the client panic: no payloads then.
                let reading = tokio::spawn(async move {
                    let mut reader = client.stream("/v1/chat/completions", &asks(tokens)).await;
                    begun.fetch_add(1, Ordering::Relaxed);
                    reader.data().await
                });
                reading.await.ok()
            })
        })
        .collect()
}

/// Every attempt that reached the vendor has exactly one row, priced.
fn one_row_each(sim: &Sim, rows: &[Value]) {
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        for attempt in row["attempts"].as_array().expect("attempts") {
            assert!(ids.insert(attempt["id"].as_str().expect("an id")), "attempt ids are unique");
            assert!(attempt["cost_usd"].is_string(), "a crash leaves an estimate, not a hole: {attempt:#}");
            *attempts.entry(id).or_default() += 1;
        }
    }
    for bill in sim.bills() {
        let id = bill.request_id.as_deref().expect("our id travels upstream");
        assert_eq!(attempts.get(id), Some(&1), "rows of a call that reached the vendor: {bill:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kill_9_during_200_streams_loses_nothing() {
    const STREAMS: usize = 200;
    let sim = slow_vendor(Duration::from_millis(100)).await;
    let dir = TempDir::new().expect("a folder");
    let config = setup::write(dir.path(), &[&sim], MODELS, &[]);
    let server = Server::start(&config, &dir.path().join("data"));
    let begun = Arc::<AtomicUsize>::default();
    let streams = open_streams(&server.client(), STREAMS, 4_000, &begun);
    poll("all streams", async || (begun.load(Ordering::Relaxed) == STREAMS).then_some(())).await;
    server.kill();
    for stream in streams {
        let data = stream.await.expect("a reader").expect("it had begun");
        assert!(!data.iter().any(|line| line == "[DONE]"), "none had ended");
    }

    let server = Server::start(&config, &dir.path().join("data"));
    let rows = all_requests(&server.client()).await;
    assert_eq!(sim.bills().len(), STREAMS);
    one_row_each(&sim, &rows);
    for row in &rows {
        assert_eq!(row["attempts"][0]["outcome"], "unknown", "{row:#}");
    }
}

/// Kills at points that move through the life of a request: before the head, in the middle, at the end. `just soak`
/// sets `TOLLGATE_KILLS`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kill_9_at_any_point_loses_and_doubles_nothing() {
    const STREAMS: usize = 20;
    let kills: u64 = std::env::var("TOLLGATE_KILLS").map_or(50, |kills| kills.parse().expect("a number"));
    let sim = slow_vendor(Duration::from_millis(1)).await;
    let dir = TempDir::new().expect("a folder");
    let (config, data) = (setup::write(dir.path(), &[&sim], MODELS, &[]), dir.path().join("data"));
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..kills {
        let server = Server::start(&config, &data);
        let before = sim.stats();
        let streams = open_streams(&server.client(), STREAMS, 200, &Arc::default());
        // Bytes that the vendor has sent since the start: anything from none to nearly all of it.
        let (calls, bytes) =
            (before.calls + random.u64(1..=STREAMS as u64), before.bytes_out + random.u64(0..200_000));
        bounded(
            "the point to kill at",
            sim.wait_until(|stats| stats.calls >= calls && stats.bytes_out >= bytes),
        )
        .await;
        server.kill();
        for stream in streams {
            stream.await.expect("a reader");
        }
        bounded("the vendor notices", sim.wait_until(|stats| stats.open == 0)).await;
    }
    let server = Server::start(&config, &data);
    one_row_each(&sim, &all_requests(&server.client()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_sigterm_lets_open_streams_end() {
    const STREAMS: usize = 50;
    let sim = slow_vendor(Duration::from_millis(5)).await;
    let dir = TempDir::new().expect("a folder");
    let (config, data) = (setup::write(dir.path(), &[&sim], MODELS, &[]), dir.path().join("data"));
    let server = Server::start(&config, &data);
    let client = server.client();
    let streams = open_streams(&client, STREAMS, 1_000, &Arc::default());
    bounded("all streams", sim.wait_until(|stats| stats.open == STREAMS as u64)).await;
    server.signal("TERM");
    for stream in streams {
        let data = stream.await.expect("a reader").expect("it had begun");
        spec::check_chat_stream(&data);
    }
    let status = tokio::task::spawn_blocking(|| server.wait()).await.expect("no panic");
    assert!(status.success(), "{status}");
    assert!(tokio::net::TcpStream::connect(client.addr()).await.is_err(), "it has gone");

    let rows = requests_command(&config, &data);
    assert_eq!(rows.len(), STREAMS);
    for row in &rows {
        assert_eq!(row["attempts"][0]["outcome"], "ok", "{row:#}");
    }
}

/// `tollgate requests --json`, which reads the store without a server.
fn requests_command(config: &Path, data: &Path) -> Vec<Value> {
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let args = ["requests", "--limit", "100", "--json", "--config", &config, "--data-dir", &data];
    let output = tollgate_tests::server::run(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    printed["requests"].as_array().expect("requests").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_in_use_is_refused_with_a_hint() {
    let sim = slow_vendor(Duration::ZERO).await;
    let dir = TempDir::new().expect("a folder");
    let (config, data) = (setup::write(dir.path(), &[&sim], MODELS, &[]), dir.path().join("data"));
    let _server = Server::start(&config, &data);
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let second = tollgate_tests::server::run(&["serve", "--config", &config, "--data-dir", &data]);
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use") && said.contains(&data), "{said}");
}
