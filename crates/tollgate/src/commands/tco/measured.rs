//! Files of measurements.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use tco::capacity::{Points, read_points};

/// The text of a file, or which file and why not.
pub fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// All complaints about a file, a line each.
pub fn told(path: &Path, wrong: &[String]) -> anyhow::Error {
    anyhow!("{}:\n  {}", path.display(), wrong.join("\n  "))
}

/// The shipped measurements, and those of one's own bench on top.
pub fn points(bench: Option<&Path>) -> anyhow::Result<Points> {
    let Some(path) = bench else { return Ok(Points::shipped()) };
    let points = read_points(&text(path)?).map_err(|wrong| told(path, &wrong))?;
    Points::with_bench(&points).map_err(|wrong| told(path, &wrong))
}
