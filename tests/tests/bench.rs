//! `tollgate bench` from outside: its counts are the server's own, against a simulated vendor and a real engine.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use sim::{BillEnd, Fault, FaultRule, Keys, ModelSpec, Sim, Timing, VendorSpec, When};
use tollgate_tests::engine::Engine;
use tollgate_tests::server::command;

/// Runs `bench` on `url` and returns what it printed as JSON.
async fn bench(url: &str, args: &[&str]) -> Value {
    let mut command = command(&["bench", url, "--json"]);
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn sum(report: &Value, pointer: &str) -> u64 {
    let points = report["points"].as_array().expect("points");
    points.iter().map(|point| point.pointer(pointer).and_then(Value::as_u64).expect("a count")).sum()
}

/// Answers as long as asked for, whatever is asked.
async fn talkative(faults: impl IntoIterator<Item = FaultRule>) -> Sim {
    server(10_000, faults).await
}

/// A server of one's own, without keys, whose answers have `words` tokens when nothing bounds them.
async fn server(words: u64, faults: impl IntoIterator<Item = FaultRule>) -> Sim {
    let model = ModelSpec { words, ..ModelSpec::new("m") };
    let spec = VendorSpec { keys: Keys::Open, ..VendorSpec::openai("vendor") };
    Sim::start(spec.models([model]).faults(faults)).await.expect("a free port")
}

const SHORT: [&str; 8] =
    ["--model", "m", "--input-tokens", "100", "--output-tokens", "24", "--duration", "20"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_the_simulated_vendors_own() {
    let vendor = talkative([]).await;
    let args = [&SHORT[..], &["--concurrency", "1,5", "--requests", "40"]].concat();
    let report = bench(&vendor.base_url(), &args).await;
    assert_eq!((sum(&report, "/sent"), sum(&report, "/ok"), sum(&report, "/tokens/short")), (80, 80, 0));
    let probes = usize::try_from(report["settings"]["probes"].as_u64().expect("probes")).expect("few");
    let bills = vendor.bills();
    assert_eq!(bills.len(), 80 + probes, "every request was billed once");
    let measured = &bills[probes..];
    let billed = |of: fn(&sim::Bill) -> u64| measured.iter().map(of).sum::<u64>();
    assert_eq!(sum(&report, "/tokens/output"), billed(|bill| bill.tally.output));
    assert_eq!(sum(&report, "/tokens/input"), billed(|bill| bill.tally.input()));
    assert_eq!(sum(&report, "/whole_run/total_output_tokens"), 80 * 24);
    // the length that was asked for, in the vendor's own tokens
    for point in report["points"].as_array().expect("points") {
        let mean = point["tokens"]["mean_input"].as_f64().expect("a mean");
        assert!((90.0..=110.0).contains(&mean), "{mean}");
    }
    // no prompt came twice, and no two begin alike
    let received = vendor.received();
    let prompts = received.iter().filter_map(|request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        Some(body.pointer("/messages/0/content")?.as_str()?.chars().take(24).collect::<String>())
    });
    assert_eq!(prompts.collect::<HashSet<_>>().len(), 80 + probes);
    assert!(vendor.stats().most_open <= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_counts_alike() {
    let vendor = talkative([]).await;
    let args = [&SHORT[..], &["--rate", "200", "--requests", "60"]].concat();
    let report = bench(&vendor.base_url(), &args).await;
    assert_eq!((sum(&report, "/sent"), sum(&report, "/ok")), (60, 60));
    assert_eq!(sum(&report, "/tokens/output"), 60 * 24);
    assert!(report["points"][0]["send_lag_ms"]["n"] == 60, "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_cut_answers_are_counted_and_not_lost() {
    // the probes come first and are spared
    let refused = Fault::Status(500).when(When::Requests(10..22));
    let cut = Fault::Cut { after: 3, clean: false }.when(When::Requests(30..36));
    let vendor = talkative([refused, cut]).await;
    let args = [&SHORT[..], &["--concurrency", "4", "--requests", "60"]].concat();
    let report = bench(&vendor.base_url(), &args).await;
    let point = &report["points"][0];
    let (sent, ok, error, incomplete) =
        (sum(&report, "/sent"), sum(&report, "/ok"), sum(&report, "/error"), sum(&report, "/incomplete"));
    assert_eq!((sent, ok + error + incomplete), (60, 60));
    assert_eq!((error, incomplete), (12, 6), "{point:#}");
    let stats = vendor.stats();
    let whole = vendor.bills().iter().filter(|bill| bill.end == BillEnd::Complete).count() as u64;
    let probes = report["settings"]["probes"].as_u64().expect("probes");
    assert_eq!(ok, whole - probes, "{stats:?}");
    assert_eq!(sum(&report, "/tokens/output"), ok * 24, "a cut answer is in no sum");
    let reasons = point["failures"].as_object().expect("failures");
    assert_eq!(reasons["server_error (500)"].as_u64(), Some(error), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_answers_are_reported() {
    let vendor = server(9, []).await;
    let mut command = command(&["bench", &vendor.base_url(), "--concurrency", "2"]);
    command.args(["--model", "m", "--input-tokens", "20", "--output-tokens", "500"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("16 of 16 answers were shorter than asked"), "{said}");
    assert!(said.contains("the first is not in it"), "the definition of TPOT is printed: {said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_a_real_engines_own() {
    let engine = Engine::start().await;
    let before = engine.counter("tokens_predicted_total").await;
    let args = ["--model", Engine::MODEL, "--concurrency", "1,4", "--requests", "24"];
    let args = [&args[..], &["--input-tokens", "160", "--output-tokens", "32", "--keep-going"]].concat();
    let report = bench(&engine.url(), &args).await;
    let after = engine.counter("tokens_predicted_total").await;
    assert_eq!((sum(&report, "/sent"), sum(&report, "/ok")), (48, 48), "{report:#}");
    assert_eq!(sum(&report, "/tokens/short"), 0, "ignore_eos works: {report:#}");
    assert_eq!(sum(&report, "/tokens/output"), 48 * 32);
    let probes = report["settings"]["probes"].as_u64().expect("probes");
    assert_eq!(after - before, 48 * 32 + probes, "a probe is one token");
    for point in report["points"].as_array().expect("points") {
        let (tokens, server) = (&point["tokens"], &point["server"]);
        let count = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("a count in {point:#}"));
        assert!((count(&server["output_tokens"]) - count(&tokens["output"])).abs() < 0.5, "{point:#}");
        // llama.cpp counts what it computed: cached tokens are a part of the input and not of that
        let fresh = count(&tokens["input"]) - count(&tokens["cached"]);
        assert!((count(&server["prompt_tokens"]) - fresh).abs() < 0.5, "{point:#}");
        assert!((count(&server["cached_tokens"]) - count(&tokens["cached"])).abs() < 0.5, "{point:#}");
        assert!(count(&tokens["cached_share"]) < 0.15, "prompts are distinct: {point:#}");
        assert!((136.0..=184.0).contains(&count(&tokens["mean_input"])), "{point:#}");
        assert!(count(&point["tpot_ms"]["p50"]) > 0.0 && count(&point["ttft_ms"]["p50"]) > 0.0, "{point:#}");
    }

    let args = [&args[..], &["--warm", "0.8"]].concat();
    let warm = bench(&engine.url(), &args).await;
    let share = warm["points"][1]["tokens"]["cached_share"].as_f64().expect("a share");
    assert!((0.6..0.95).contains(&share), "four fifths of each prompt are known: {share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_point_has_the_columns_of_the_published_ones() {
    // tokens apart in time, so that there is a pace to keep
    let slow = Fault::Slow(Timing { gap: Duration::from_millis(2), ..Timing::default() });
    let vendor = talkative([slow.always()]).await;
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().to_str().expect("text");
    let named =
        ["--save", "mine", "--gpu", "L4", "--precision", "fp8", "--engine", "sim 1", "--data-dir", folder];
    let date = ["--date", "2026-11-24", "--concurrency", "1,2", "--requests", "24"];
    let report = bench(&vendor.base_url(), &[&SHORT[..], &named, &date].concat()).await;
    let text = std::fs::read_to_string(dir.path().join("bench/mine.csv")).expect("it was saved");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "model,gpu,n_gpu,precision,framework,isl,osl,concurrency_or_batch,output_tok_s,ttft_ms,tpot_ms,\
             source_repo,source_path,commit,row_id,parallel,scenario,latency_stat,derived_output_tok_s,\
             measured_at,note"
        )
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), report["points"].as_array().expect("points").len());
    for (row, point) in rows.iter().zip(report["points"].as_array().expect("points")) {
        assert_eq!((row[0], row[1], row[2], row[3], row[4]), ("m", "L4", "1", "fp8", "sim 1"));
        assert_eq!(row[6], "24");
        assert_eq!(row[7], point["load"]["concurrency"].to_string());
        assert_eq!(row[8].parse::<f64>().ok(), point["output_tok_s"].as_f64());
        assert_eq!(row[10].parse::<f64>().ok(), point["tpot_ms"]["p50"].as_f64());
        assert_eq!((row[16], row[17], row[19]), ("closed-loop", "p50", "2026-11-24"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_flags_are_all_named_at_once_and_a_dead_endpoint_is_said() {
    let run = async |args: &[&str]| {
        let mut command = command(&["bench"]);
        command.args(args);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("no panic").expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let url = "http://127.0.0.1:1/v1";
    let (code, said) =
        run(&[url, "--model", "m", "--rate=-3", "--output-tokens", "0", "--ttft", "NaN", "--warm", "1.5"])
            .await;
    assert_eq!(code, Some(2));
    for flag in ["--rate", "--output-tokens", "--ttft", "--warm"] {
        assert!(said.contains(flag), "{flag} in {said}");
    }
    let (code, said) = run(&[url, "--model", "m"]).await;
    assert!(code == Some(3) && said.contains("does not answer a first request: connect"), "{said}");
    let (_, said) = run(&[url, "--model", "m", "--concurrency", "10000", "--output-tokens", "1000000"]).await;
    assert!(said.contains("would not fit in memory"), "{said}");
}
