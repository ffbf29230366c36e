//! The capacity model from the outside: the committed calibration, who speaks when, and what a bench changes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use tollgate_tco::capacity::{
    Basis, Calibration, Lengths, Point, Points, Precision, Row, SHIPPED_POINTS, Setup, Slo, at_slo, predict,
    read_points, read_rows, saturated, speed,
};

const CHAT: Lengths = Lengths { input: 1_024.0, output: 1_024.0, cached_share: 0.0 };

fn setup(
    model: &str,
    gpu: &str,
    n_gpu: u32,
    precision: Precision,
    framework: &'static str,
) -> Setup<'static> {
    let model = catalog::architecture::find(model).unwrap().model;
    Setup { model, gpu: catalog::hardware::find(gpu).unwrap(), n_gpu, precision, framework }
}

fn shipped() -> Vec<Point> {
    read_points(SHIPPED_POINTS).unwrap()
}

#[test]
fn the_committed_calibration_is_read_and_keeps_its_promises() {
    let calibration = Calibration::shipped().expect("it parses");
    let error = |models: &str, left_out: &str, quantity: &str| {
        let mut all = calibration.errors.iter();
        all.find(|e| e.models == models && e.left_out == left_out && e.quantity == quantity).unwrap()
    };
    for (models, left_out, most) in [
        ("dense", "points", 0.12),
        ("dense", "curves", 0.14),
        ("dense", "gpus", 0.20),
        ("moe", "curves", 0.25),
        ("moe", "gpus", 0.25),
    ] {
        let tpot = error(models, left_out, "tpot");
        assert!(tpot.mean <= most && tpot.mean < tpot.roofline_mean, "{tpot:?}");
        assert!((0.85..=0.95).contains(&tpot.coverage), "{tpot:?}");
    }
    for models in ["dense", "moe"] {
        assert!(error(models, "bench", "tpot").median <= 0.05, "three points of one's own");
        assert!(
            error(models, "curves", "throughput").rows > 700,
            "the error of dollars per token is published"
        );
    }
}

#[test]
fn every_shipped_measurement_is_used_and_has_its_source() {
    let points = shipped();
    assert!(points.len() > 1_900);
    let known = Points::shipped();
    for point in &points {
        assert!(!point.row.source.is_empty() && !point.row.id.is_empty());
        let speed = predict(&point.row, &known).unwrap_or_else(|why| panic!("{}: {why}", point.row.id));
        assert!(speed.output_tok_s.value.is_finite() && speed.output_tok_s.value > 0.0, "{}", point.row.id);
        assert!(speed.tpot_ms.low <= speed.tpot_ms.value && speed.tpot_ms.value <= speed.tpot_ms.high);
    }
}

#[test]
fn a_measurement_outranks_an_interpolation_and_that_the_formula() {
    let points = Points::shipped();
    let seventy = setup("llama-3.3-70b", "H100", 2, Precision::Fp8, "vllm");
    let at = |concurrency| speed(&seventy, &CHAT, concurrency, &points).unwrap();
    // InferenceX measured 28.7686 ms at 64 and 23.5381 ms at 32.
    let measured = at(64.0);
    assert_eq!(measured.basis, Basis::Measured);
    assert!((measured.tpot_ms.value - 28.768_6).abs() < 1e-9);
    let between = at(48.0);
    assert_eq!(between.basis, Basis::Interpolated);
    assert!((23.6..28.7).contains(&between.tpot_ms.value), "{between:?}");
    assert_eq!(at(2_000.0).basis, Basis::Modelled);
    let unseen = setup("llama-3.3-70b", "H200", 2, Precision::Fp8, "vllm");
    let unseen = speed(&unseen, &CHAT, 64.0, &points).unwrap();
    assert_eq!(unseen.basis, Basis::Modelled);
    assert!(unseen.tpot_ms.value < measured.tpot_ms.value, "more bandwidth");
    let width = |e: tollgate_tco::capacity::Estimate| e.high / e.low;
    assert!(width(unseen.tpot_ms) > width(between.tpot_ms), "the band widens where less is known");
    assert!(width(between.ttft_ms) > width(between.tpot_ms), "the first token is known less well");
}

#[test]
fn ones_own_bench_outranks_everything_and_pulls_its_neighbours() {
    // A machine that is 40 % slower than the published one.
    let row = |concurrency: f64| Row {
        model: "llama-3.3-70b".to_owned(),
        gpu: "H100".to_owned(),
        n_gpu: 2,
        precision: "fp8".to_owned(),
        framework: "vllm".to_owned(),
        isl: Some(1_024.0),
        osl: Some(1_024.0),
        concurrency: Some(concurrency),
        parallel: "tp2".to_owned(),
        scenario: "closed-loop".to_owned(),
        ..Row::default()
    };
    let bench: Vec<Point> = [(4.0, 24.4), (16.0, 27.7), (64.0, 40.3)]
        .into_iter()
        .map(|(concurrency, tpot)| Point {
            row: row(concurrency),
            ttft_ms: Some(300.0),
            tpot_ms: Some(tpot),
            output_tok_s: None,
        })
        .collect();
    let points = Points::with_bench(&bench).unwrap();
    let seventy = setup("llama-3.3-70b", "H100", 2, Precision::Fp8, "vllm");
    let same = speed(&seventy, &CHAT, 64.0, &points).unwrap();
    assert_eq!(same.basis, Basis::OwnBench);
    assert!((same.tpot_ms.value - 40.3).abs() < 1e-9);
    let between = speed(&seventy, &CHAT, 32.0, &points).unwrap();
    assert_eq!(between.basis, Basis::OwnBench);
    assert!((30.0..36.0).contains(&between.tpot_ms.value), "{between:?}");
    let other = Lengths { input: 2_048.0, output: 512.0, cached_share: 0.0 };
    let before = speed(&seventy, &other, 32.0, &Points::shipped()).unwrap();
    let after = speed(&seventy, &other, 32.0, &points).unwrap();
    assert!(after.tpot_ms.value > 1.2 * before.tpot_ms.value, "{before:?} {after:?}");

    let mut broken = bench;
    broken[0].row.gpu = "H1000".to_owned();
    broken[1].tpot_ms = None;
    assert_eq!(Points::with_bench(&broken).unwrap_err().len(), 2);
}

#[test]
fn more_load_is_slower_and_a_cached_prompt_is_faster() {
    let points = Points::shipped();
    let oss = setup("gpt-oss-120b", "H100", 2, Precision::Fp4, "vllm");
    let at = |share: f64, concurrency| {
        let lengths = Lengths { input: 8_192.0, output: 1_024.0, cached_share: share };
        speed(&oss, &lengths, concurrency, &points).unwrap()
    };
    for pair in [4.0, 8.0, 16.0, 32.0, 64.0].windows(2) {
        assert!(at(0.0, pair[0]).tpot_ms.value < at(0.0, pair[1]).tpot_ms.value);
    }
    assert!(at(0.9, 32.0).ttft_ms.value < 0.7 * at(0.0, 32.0).ttft_ms.value);
    assert!(at(0.9, 32.0).tpot_ms.value < at(0.0, 32.0).tpot_ms.value);
}

#[test]
fn the_articles_replica_at_full_load_and_within_limits() {
    let points = Points::shipped();
    let replica = setup("llama-3.3-70b", "H100", 2, Precision::Fp8, "trtllm 1.0 (pytorch backend)");
    let even = Lengths { input: 1_000.0, output: 1_000.0, cached_share: 0.0 };
    let full = saturated(&replica, &even, &points).unwrap();
    // Published between 4,205 and 4,418.
    assert!((3_500.0..5_200.0).contains(&full.output_tok_s.value), "{full:?}");
    let slo = Slo { ttft_ms: 1_000.0, tpot_ms: 50.0 };
    let within = at_slo(&replica, &even, &slo, &points).unwrap();
    assert!(within.output_tok_s.value < full.output_tok_s.value * 1.1);
    assert!(within.tpot_ms.value <= 50.0 && within.ttft_ms.value <= 1_000.0);
}

#[test]
fn questions_are_answered_without_their_results() {
    let text = "model,gpu,n_gpu,precision,framework,isl,osl,concurrency_or_batch\n\
                meta-llama/Llama-3.1-8B-Instruct,A100-SXM-80GB,1,bf16,vllm,1024,128,8\n\
                no-such-model,H100,1,bf16,vllm,1024,128,8\n";
    let rows = read_rows(text).unwrap();
    let points = Points::shipped();
    let unseen = predict(&rows[0], &points).unwrap();
    assert_eq!(unseen.basis, Basis::Modelled);
    // 16 GB of weights at 2 TB/s are 8 ms.
    assert!((8.0..20.0).contains(&unseen.tpot_ms.value), "{unseen:?}");
    assert!(predict(&rows[1], &points).unwrap_err().contains("nearest"));
}
