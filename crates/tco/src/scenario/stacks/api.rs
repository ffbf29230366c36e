//! Reads a model at a vendor.

use serde_json::Value;

use super::{ApiSpec, Committed, Stacking, required};
use crate::reader::{Kind, Reader, kind_of};

pub(super) fn read(table: &Reader<'_>) -> Option<ApiSpec> {
    let model =
        required(table, "model", "\"provider/model\"; a stack of GPUs also has `gpu`, a hybrid `default`");
    let price = |key: &'static str| table.quantity(key, Kind::USD_PER_MILLION);
    let stacking = match table.word("stacking", &["multiply", "add", "best"]) {
        Some("add") => Stacking::Add,
        Some("best") => Stacking::Best,
        _ => Stacking::Multiply,
    };
    let committed = table.table("committed").and_then(|entry| {
        let usd_per_month = entry.number("usd_per_month", Kind::USD);
        let discount = entry.number("discount", Kind::SHARE);
        entry.finish();
        Some(Committed { usd_per_month: usd_per_month?, discount: discount? })
    });
    let spec = ApiSpec {
        model: model.unwrap_or_default().to_owned(),
        kind: table.word("kind", &["closed", "serverless"]),
        tier: table.word("tier", &["standard", "batch", "flex", "priority"]),
        region: table.text("region").map(ToOwned::to_owned),
        input: price("input_usd_per_million"),
        cached: price("cached_usd_per_million"),
        written: price("cache_write_usd_per_million"),
        output: price("output_usd_per_million"),
        discount: table.quantity("discount", Kind::SHARE),
        volume_discounts: read_steps(table),
        committed,
        stacking,
        retry_share: table.quantity("retry_share", Kind::SHARE),
    };
    model.map(|_| spec)
}

fn read_steps(table: &Reader<'_>) -> Vec<(f64, f64)> {
    let Some(value) = table.value("volume_discounts") else { return Vec::new() };
    let Value::Array(items) = value else {
        let hint = "[{ above_usd_per_month = 10_000, discount = 0.1 }, …]";
        table.problem("volume_discounts", format!("is {}, not a list", kind_of(value)), hint);
        return Vec::new();
    };
    let mut steps = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(entry) = table.table_of(&format!("volume_discounts[{at}]"), item) else { continue };
        let above = entry.number("above_usd_per_month", Kind::USD);
        let discount = entry.number("discount", Kind::SHARE);
        entry.finish();
        steps.extend(above.zip(discount));
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    steps
}
