//! Reads machines of one's own.

use serde_json::Value;

use super::{Capacity, OwnSpec, PRESETS, Rent, Scaling, Term, required};
use crate::inputs::Bounds;
use crate::reader::{Kind, Reader, kind_of};

pub(super) fn read(table: &Reader<'_>) -> Option<OwnSpec> {
    let preset = table.text("preset").and_then(|name| {
        let found = PRESETS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        if found.is_none() {
            let names: Vec<&str> = PRESETS.iter().map(|(name, ..)| *name).collect();
            table.problem("preset", format!("`{name}` is not known"), format!("one of {}", names.join(", ")));
        }
        found
    });
    let model = required(table, "model", "what runs on it, e.g. \"llama-3.3-70b\"");
    let gpu = table.text("gpu").or(preset.map(|(_, gpu, ..)| *gpu));
    let count = table.whole("gpus_per_replica", 1, 1_024).or(preset.map(|(_, _, count, _)| *count));
    let precision = table.text("precision").or(preset.map(|(.., precision)| *precision)).unwrap_or("fp8");
    let rent = read_rent(table);
    let per_replica = table.has("usd_per_replica_hour");
    if per_replica && table.has("usd_per_gpu_hour") {
        table.problem("usd_per_replica_hour", "contradicts usd_per_gpu_hour", "keep one");
    }
    // One price for a stack on one term; a mix states each.
    let stated = if per_replica {
        table.quantity("usd_per_replica_hour", Kind::USD_PER_HOUR)
    } else {
        table.quantity("usd_per_gpu_hour", Kind::USD_PER_HOUR)
    };
    let hourly = |key: &'static str| table.quantity(key, Kind::USD_PER_HOUR);
    let (mut on_demand, mut spot, mut reserved) = (
        hourly("on_demand_usd_per_gpu_hour"),
        hourly("spot_usd_per_gpu_hour"),
        hourly("reserved_usd_per_gpu_hour"),
    );
    match rent {
        Rent::One(Term::OnDemand) => on_demand = stated.or(on_demand),
        Rent::One(Term::Spot) => spot = stated.or(spot),
        Rent::One(Term::Reserved1y | Term::Reserved3y) => reserved = stated.or(reserved),
        Rent::One(Term::Owned) | Rent::Mix { .. } if stated.is_some() => {
            let hint = "owned: capex_usd_per_gpu; mix: on_demand_, spot_ and reserved_usd_per_gpu_hour";
            table.problem("usd_per_gpu_hour", "does not say for which term", hint);
        }
        _ => {}
    }
    let scaling = match table.word("scaling", &["always-on", "autoscale", "to-zero"]) {
        Some("autoscale") => Scaling::Autoscale,
        Some("to-zero") => Scaling::ToZero,
        _ => Scaling::Always,
    };
    if scaling != Scaling::Always
        && matches!(rent, Rent::One(Term::Reserved1y | Term::Reserved3y | Term::Owned))
    {
        let hint =
            "only what is rented by the hour can be given back: rent = \"on-demand\" or \"spot\", or a mix";
        table.problem("scaling", "saves nothing on this rent", hint);
    }
    let capacity = read_capacity(table);
    let money = |key: &'static str, unit| table.quantity(key, Kind::USD.unit(unit));
    let amount = |key: &'static str, unit| table.quantity(key, Kind::AMOUNT.unit(unit));
    let spec = OwnSpec {
        model: model.unwrap_or_default().to_owned(),
        gpu: gpu.unwrap_or_default().to_owned(),
        gpus_per_replica: count.unwrap_or(1),
        precision: precision.to_owned(),
        engine: table.text("engine").map(ToOwned::to_owned),
        rent,
        on_demand,
        spot,
        reserved,
        per_replica,
        spares: table.whole("spares", 0, 10_000).unwrap_or(0),
        zones: table.whole("zones", 1, 100).unwrap_or(1),
        scaling,
        cold_start_minutes: amount("cold_start_minutes", "minutes"),
        interruptions_per_day: amount("interruptions_per_day", "per replica and day"),
        capacity,
        max_utilisation: table
            .quantity("max_utilisation", Kind { bounds: Bounds { min: 0.01, max: 1.0 }, ..Kind::SHARE }),
        capex_usd_per_gpu: money("capex_usd_per_gpu", "$/GPU"),
        years: table.number("years", Kind { absurd: 20.0, ..Kind::FACTOR }),
        interest: table.quantity("interest_per_year", Kind { absurd: 1.0, ..Kind::SHARE }),
        watts_per_gpu: amount("watts_per_gpu", "W"),
        pue: table.quantity("pue", Kind { absurd: 5.0, ..Kind::AT_LEAST_ONE }),
        usd_per_kwh: table.quantity("usd_per_kwh", Kind { absurd: 10.0, ..Kind::USD }.unit("$/kWh")),
        hosting_usd_per_month: money("hosting_usd_per_month", "$/month"),
        storage_gb: amount("storage_gb", "GB"),
        storage_usd_per_gb_month: money("storage_usd_per_gb_month", "$/GB and month"),
        egress_usd_per_gb: money("egress_usd_per_gb", "$/GB"),
        licence_usd_per_gpu_year: money("licence_usd_per_gpu_year", "$/GPU and year"),
        migration_usd: money("migration_usd", "$"),
        exit_usd: money("exit_usd", "$"),
    };
    let owned = matches!(rent, Rent::One(Term::Owned) | Rent::Mix { base: Term::Owned, .. });
    if owned && spec.capex_usd_per_gpu.is_none() {
        table.problem("capex_usd_per_gpu", "is missing", "owned machines have a price");
    }
    (model.is_some() && gpu.is_some()).then_some(spec)
}

fn read_capacity(table: &Reader<'_>) -> Option<Capacity> {
    let Some(entry) = table.table("capacity") else {
        return table
            .quantity("output_tok_s", Kind { absurd: 1e7, ..Kind::FACTOR }.unit("output tokens/s"))
            .map(|output_tok_s| Capacity { output_tok_s });
    };
    let output_tok_s =
        entry.quantity("output_tok_s", Kind { absurd: 1e7, ..Kind::FACTOR }.unit("output tokens/s"));
    entry.finish();
    Some(Capacity { output_tok_s: output_tok_s? })
}

fn read_rent(table: &Reader<'_>) -> Rent {
    const WORDS: &str = "\"on-demand\", \"spot\", \"reserved-1y\", \"reserved-3y\", \"owned\", \"mix\", or \
         { base = \"reserved-3y\", burst = \"on-demand\" }";
    let usual = Rent::Mix { base: Term::Reserved3y, burst: Term::OnDemand, base_count: None };
    match table.value("rent") {
        None => Rent::One(Term::OnDemand),
        Some(Value::String(word)) if word == "mix" => usual,
        Some(Value::String(word)) => {
            let term = Term::parse(word);
            if term.is_none() {
                table.problem("rent", format!("`{word}` is not known"), WORDS);
            }
            Rent::One(term.unwrap_or(Term::OnDemand))
        }
        Some(value @ Value::Object(_)) => {
            let Some(entry) = table.table_of("rent", value) else { return usual };
            let term = |key: &'static str, usual: Term| {
                entry.text(key).map_or(usual, |word| {
                    Term::parse(word).unwrap_or_else(|| {
                        entry.problem(key, format!("`{word}` is not known"), WORDS);
                        usual
                    })
                })
            };
            let (base, burst) = (term("base", Term::Reserved3y), term("burst", Term::OnDemand));
            if !matches!(burst, Term::OnDemand | Term::Spot) {
                entry.problem("burst", "cannot be given back by the hour", "\"on-demand\" or \"spot\"");
            }
            let base_count = entry.whole("base_count", 0, 100_000);
            entry.finish();
            Rent::Mix { base, burst, base_count }
        }
        Some(other) => {
            table.problem("rent", format!("is {}", kind_of(other)), WORDS);
            usual
        }
    }
}
