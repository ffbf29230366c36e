//! `tollgate tco calibrate`: fits the capacity model and tells how far it is off.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use tco::capacity::{Calibration, GroupError, SHIPPED_POINTS, calibrate, read_points, write_points};

use super::measured;
use crate::cli::Global;
use crate::render;

/// Flags of `calibrate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Measurements; without it, the shipped ones
    #[arg(long, value_name = "FILE.csv")]
    points: Option<PathBuf>,
    /// Write constants, bands and errors
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
    /// Write the measurements as they are shipped: sources with a licence, without columns that nobody needs
    #[arg(long, value_name = "FILE.csv")]
    trim: Option<PathBuf>,
}

/// Fits, validates, prints.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let (name, text) = match &args.points {
        Some(path) => (path.display().to_string(), measured::text(path)?),
        None => ("the shipped measurements".to_owned(), SHIPPED_POINTS.to_owned()),
    };
    let shown = PathBuf::from(&name);
    if let Some(path) = &args.trim {
        let trimmed = write_points(&text).map_err(|why| measured::told(&shown, &[why]))?;
        std::fs::write(path, trimmed).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let points = read_points(&text).map_err(|wrong| measured::told(&shown, &wrong))?;
    crate::say(format_args!(
        "fitting {} measurements and leaving parts of them out; this takes a minute\n",
        points.len()
    ));
    let calibration = calibrate(&points, &source(args), "tollgate tco calibrate")
        .map_err(|wrong| measured::told(&shown, &wrong))?;
    if let Some(path) = &args.out {
        let text = calibration.to_toml()?;
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if global.json {
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&calibration)?))?;
    } else {
        crate::print(format_args!("{}\n", told(&calibration)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The file's name without its folders: those are nobody's business.
fn source(args: &Args) -> String {
    let name = args.points.as_ref().and_then(|path| path.file_name());
    name.map_or("crates/tco/data/measured.csv".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn told(calibration: &Calibration) -> String {
    let percent = |share: f64| format!("{:.1}%", share * 100.0);
    let row = |e: &GroupError| {
        vec![
            e.models.clone(),
            e.left_out.clone(),
            e.quantity.clone(),
            e.rows.to_string(),
            percent(e.mean),
            percent(e.median),
            percent(e.p90),
            percent(e.roofline_mean),
            percent(e.coverage),
        ]
    };
    let head = ["models", "left out", "quantity", "rows", "mean", "median", "p90", "roofline", "in band"];
    format!(
        "{}\n\nMean, median and p90 of the absolute error, out of sample; the plain roofline's mean on the same rows; \
         rows inside the 90 % band.\nThe error of throughput is that of dollars per million output tokens. \
         {} measurements are contradicted by the others and count less.",
        render::table(&head, calibration.errors.iter().map(row)),
        calibration.outliers.len()
    )
}
