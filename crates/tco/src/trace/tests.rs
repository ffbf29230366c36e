use std::fmt::Write as _;

use super::*;
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.get("value").and_then(Value::as_f64).expect("a number")
}

#[test]
fn the_azure_format_is_read() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n2023-11-16 19:15:46.6805900,879,55\n";
    let trace = read(text.as_bytes(), Format::Azure, Repair::Refuse).unwrap();
    let workload = trace.workload("azure.csv");
    assert!((number(&workload["requests_per_day"]) - 72.0).abs() < 0.1, "three an hour");
    assert!((number(&workload["classes"][0]["input_tokens"]) - (374.0 + 396.0 + 879.0) / 3.0).abs() < 1e-9);
    assert!(workload.get("peak_to_mean").is_some(), "an hour is no day");
    assert!(trace.notes().iter().any(|note| note.contains("covers 1 hours")), "{:?}", trace.notes());
}

#[test]
fn burstgpt_is_read_and_failures_are_left_out() {
    let text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,Conversation log\n\
                118,GPT-4,417,276,693,API log\n120,GPT-4,417,0,417,API log\n";
    let trace = read(text.as_bytes(), Format::BurstGpt, Repair::Refuse).unwrap();
    assert_eq!(trace.len(), 3);
    assert!(trace.notes().iter().any(|note| note.starts_with("1 rows")));
    let workload = trace.workload("b");
    let names: Vec<&str> =
        workload["classes"].as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["API log", "Conversation log"]);
}

#[test]
fn a_week_has_hours_from_monday() {
    // 2026-11-23 was a Monday; ten requests an hour by day, one by night.
    let mut text = "timestamp,input_tokens,output_tokens,cached_tokens\n".to_owned();
    for hour in 0..168 {
        let busy = (8..20).contains(&(hour % 24));
        for n in 0..if busy { 10 } else { 1 } {
            let (day, hour) = (23 + hour / 24, hour % 24);
            writeln!(text, "2026-11-{day:02}T{hour:02}:{n:02}:00Z,1000,200,400").unwrap();
        }
    }
    let trace = read(text.as_bytes(), Format::Csv, Repair::Refuse).unwrap();
    let workload = trace.workload("w");
    let hours = workload["hours"].as_array().unwrap();
    assert_eq!((hours[8].as_f64(), hours[7].as_f64()), (Some(10.0), Some(1.0)));
    assert!((number(&workload["classes"][0]["cached_share"]) - 0.4).abs() < 1e-9);
}

#[test]
fn a_hole_is_an_error_or_a_stated_repair() {
    let mut text = "timestamp,input_tokens,output_tokens\n".to_owned();
    for hour in (0..24).filter(|hour| !(9..12).contains(hour)) {
        for n in 0..40 {
            writeln!(text, "{},100,10", hour * 3600 + n * 60).unwrap();
        }
    }
    let refused = read(text.as_bytes(), Format::Csv, Repair::Refuse).unwrap_err();
    assert!(refused[0].message.contains("3 hours together"), "{refused:?}");
    assert!(refused[0].hint.contains("quiet"));
    let quiet = read(text.as_bytes(), Format::Csv, Repair::Quiet).unwrap();
    let cut = read(text.as_bytes(), Format::Csv, Repair::Cut).unwrap();
    let per_day = |trace: &Trace| number(&trace.workload("h")["requests_per_day"]);
    assert!(per_day(&cut) > per_day(&quiet) * 1.1);
    assert!(quiet.notes().iter().any(|note| note.contains("taken as quiet")));
    assert!(cut.notes().iter().any(|note| note.contains("cut out")));
}

#[test]
fn every_kind_of_bad_row_is_said_with_its_lines() {
    let text = "timestamp,input_tokens,output_tokens,cached_tokens\n\
                soon,1,1,0\n1,x,1,0\n2,-5,1,0\n3,1,1,2\n4,1,1,0\n2026-11-23T00:00:00Z,1,1,0\n";
    let said: Vec<String> = read(text.as_bytes(), Format::Csv, Repair::Refuse)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let said = said.join("\n");
    for part in [
        "neither a date nor seconds; hint: line 2",
        "no number; hint: line 3",
        "absurd; hint: line 4",
        "line 5",
        "mixes",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let missing = read(b"a,b\n1,2\n", Format::Azure, Repair::Refuse).unwrap_err();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(read(b"timestamp,input_tokens,output_tokens\n", Format::Csv, Repair::Refuse).is_err());
}
