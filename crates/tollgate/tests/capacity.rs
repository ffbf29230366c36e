//! `tollgate tco capacity` and `tollgate tco predict` from the outside.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn tollgate(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Rows of the shipped measurements, every tenth; `change` may alter the columns with results.
fn questions(change: impl Fn(&str, &str) -> String) -> String {
    let mut reader = csv::Reader::from_reader(tco::capacity::SHIPPED_POINTS.as_bytes());
    let head = reader.headers().expect("a head").clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&head).expect("written");
    for record in reader.records().step_by(10) {
        let record = record.expect("a row");
        let cells = head.iter().zip(&record).map(|(name, cell)| {
            if ["output_tok_s", "ttft_ms", "tpot_ms"].contains(&name) {
                change(name, cell)
            } else {
                cell.to_owned()
            }
        });
        writer.write_record(cells).expect("written");
    }
    String::from_utf8(writer.into_inner().expect("flushed")).expect("text")
}

#[test]
fn predictions_do_not_depend_on_the_results_in_the_file() {
    let home = home();
    let answers = |name: &str, questions: &str| {
        std::fs::write(home.path().join(name), questions).expect("written");
        let out = format!("{name}.out");
        let output = tollgate(home.path(), &["tco", "predict", "--points", name, "--out", &out]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(home.path().join(out)).expect("answers")
    };
    let honest = answers("honest.csv", &questions(|_, cell| cell.to_owned()));
    let blank = answers("blank.csv", &questions(|_, _| String::new()));
    let scrambled = answers("scrambled.csv", &questions(|name, cell| format!("{name}?{}", cell.len())));
    assert_eq!(honest, blank);
    assert_eq!(honest, scrambled);
    let mut reader = csv::Reader::from_reader(honest.as_slice());
    let head = reader.headers().expect("a head").clone();
    for column in
        ["pred_ttft_ms", "pred_tpot_ms", "pred_output_tok_s", "tpot_low", "tpot_high", "basis", "row_id"]
    {
        assert!(head.iter().any(|name| name == column), "{column}");
    }
    assert!(head.iter().all(|name| name != "tpot_ms"));
    assert_eq!(reader.records().count(), questions(|_, cell| cell.to_owned()).lines().count() - 1);
}

#[test]
fn a_bench_changes_what_is_predicted_for_its_curve() {
    let home = home();
    let head =
        "model,gpu,n_gpu,precision,framework,isl,osl,concurrency_or_batch,ttft_ms,tpot_ms,output_tok_s";
    let row = |load: u32, results: &str| format!("llama-3.1-8b,L40S,1,fp8,vllm,1024,256,{load},{results}\n");
    std::fs::write(home.path().join("ask.csv"), format!("{head}\n{}", row(32, ",,"))).expect("written");
    let bench = format!("{head}\n{}{}{}", row(1, "60,14,"), row(16, "150,20,"), row(64, "400,41,"));
    std::fs::write(home.path().join("bench.csv"), bench).expect("written");
    let ask = |extra: &[&str]| {
        let output = tollgate(
            home.path(),
            &[&["tco", "predict", "--points", "ask.csv", "--out", "out.csv"], extra].concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read_to_string(home.path().join("out.csv")).expect("answers")
    };
    assert!(ask(&[]).contains(",modelled"));
    let with = ask(&["--bench", "bench.csv"]);
    assert!(with.contains(",own-bench"), "{with}");
    let tpot = with.lines().nth(1).and_then(|line| line.split(',').nth(9)).expect("pred_tpot_ms");
    let tpot: f64 = tpot.parse().expect("a number");
    assert!((24.0..31.0).contains(&tpot), "{with}");
}

#[test]
fn what_cannot_be_read_is_told_whole_and_what_cannot_be_predicted_row_by_row() {
    let home = home();
    let head = "model,gpu,n_gpu,precision,framework,isl,osl,concurrency_or_batch";
    std::fs::write(home.path().join("bad.csv"), format!("{head}\na,b,x,fp8,vllm,y,1,1\n")).expect("written");
    let output = tollgate(home.path(), &["tco", "predict", "--points", "bad.csv", "--out", "out.csv"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("line 2, n_gpu") && text(&output.stderr).contains("line 2, isl"));
    let rows = "no-such,H100,1,fp8,vllm,10,10,1\nllama-3.1-8b,H100,1,fp8,vllm,1024,128,4\n";
    std::fs::write(home.path().join("some.csv"), format!("{head}\n{rows}")).expect("written");
    let output = tollgate(home.path(), &["tco", "predict", "--points", "some.csv", "--out", "out.csv"]);
    assert_eq!(output.status.code(), Some(1));
    let answers = std::fs::read_to_string(home.path().join("out.csv")).expect("answers");
    assert!(answers.contains("none: no model is named `no-such`; the nearest are"), "{answers}");
    assert_eq!(answers.lines().count(), 3);
}

#[test]
fn capacity_says_what_fits_what_is_reached_and_how_many_replicas_a_peak_needs() {
    let home = home();
    let base = [
        "tco",
        "capacity",
        "--model",
        "llama-3.3-70b",
        "--gpu",
        "h100",
        "--n",
        "2",
        "--isl",
        "1200",
        "--osl",
        "800",
    ];
    let limits = ["--ttft", "1000", "--tpot", "50", "--peak", "20"];
    let output = tollgate(home.path(), &[&base[..], &limits, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["gpu"], "H100-SXM-80GB");
    let tpot = |key: &str| answer["at_slo"]["tpot_ms"][key].as_f64().expect("a number");
    assert!(tpot("low") < tpot("value") && tpot("value") <= 50.0);
    let replicas = answer["replicas"].as_u64().expect("a number");
    let one = answer["at_slo"]["output_tok_s"]["value"].as_f64().expect("a number") / 800.0;
    assert!(f64::from(u32::try_from(replicas).expect("few")) > 20.0 / one, "more than the mean needs");

    let table = text(&tollgate(home.path(), &[&base[..], &limits].concat()).stdout);
    assert!(table.contains("TTFT ≤ 1000 ms, TPOT ≤ 50 ms") && table.contains("90 % bands"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 110), "{table}");

    let too_big = [
        "tco",
        "capacity",
        "--model",
        "Llama 3.3 405B",
        "--gpu",
        "H100",
        "--n",
        "2",
        "--isl",
        "1000",
        "--osl",
        "500",
    ];
    let output = tollgate(home.path(), &too_big);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("GB short"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("there is no Llama 3.3 405B"));
}

#[test]
fn names_that_do_not_exist_hear_the_nearest() {
    let home = home();
    let ask = |model: &str, gpu: &str| {
        let args = ["tco", "capacity", "--model", model, "--gpu", gpu, "--isl", "10", "--osl", "10"];
        let output = tollgate(home.path(), &args);
        assert_eq!(output.status.code(), Some(3));
        text(&output.stderr)
    };
    assert!(ask("llama-3.3-7ob", "H100").contains("llama-3.3-70b"));
    assert!(ask("llama-3.3-70b", "H101").contains("H100"));
    assert!(ask("llama-3.3-70b", "Groq").contains("sold per token"));
}
