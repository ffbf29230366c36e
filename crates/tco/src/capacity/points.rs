//! Measurements and questions as rows of CSV, with the columns of `data/measured.csv`.
//!
//! A question is read without the columns that hold results, so a prediction cannot look at its own answer.

use super::load::{Load, Names};

/// What was run: the columns of a measurement without its results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The checkpoint, as its source names it.
    pub model: String,
    /// The accelerator's id.
    pub gpu: String,
    /// Accelerators of the replica.
    pub n_gpu: u32,
    /// Format of the weights, e.g. `fp8`.
    pub precision: String,
    /// Engine and version.
    pub framework: String,
    /// Tokens of a prompt.
    pub isl: Option<f64>,
    /// Tokens of an answer.
    pub osl: Option<f64>,
    /// Requests in flight; None when everything is queued at once.
    pub concurrency: Option<f64>,
    /// How the model is cut over the accelerators, e.g. `tp4` or `tp2-moe_tp1ep2`.
    pub parallel: String,
    /// `closed-loop`, `offline …` or the `MLPerf` scenario.
    pub scenario: String,
    /// The repository that it is from.
    pub source: String,
    /// The row's own identifier.
    pub id: String,
}

/// A measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// What was run.
    pub row: Row,
    /// Milliseconds to the first token.
    pub ttft_ms: Option<f64>,
    /// Milliseconds per token after the first.
    pub tpot_ms: Option<f64>,
    /// Output tokens per second of the replica.
    pub output_tok_s: Option<f64>,
}

/// Columns that a question must have.
const NEEDED: [&str; 8] =
    ["model", "gpu", "n_gpu", "precision", "framework", "isl", "osl", "concurrency_or_batch"];

impl Row {
    /// The load of this row, or what is wrong with it.
    pub(super) fn load(&self) -> Result<Load<'static>, Vec<String>> {
        Load::named(&Names {
            model: &self.model,
            gpu: &self.gpu,
            precision: &self.precision,
            framework: &self.framework,
            parallel: &self.parallel,
            scenario: &self.scenario,
            n_gpu: self.n_gpu,
            isl: self.isl,
            osl: self.osl,
            concurrency: self.concurrency,
            nominal: self.source.contains("aiconfigurator"),
        })
    }
}

/// Reads questions: rows without results. Errors name line and column, all of them at once.
pub fn read_rows(text: &str) -> Result<Vec<Row>, Vec<String>> {
    read(text, &[], |row, _| row)
}

/// Reads measurements.
pub fn read_points(text: &str) -> Result<Vec<Point>, Vec<String>> {
    read(text, &["ttft_ms", "tpot_ms", "output_tok_s"], |row, results| {
        let mut results = results.iter().copied();
        let mut next = || results.next().flatten();
        Point { row, ttft_ms: next(), tpot_ms: next(), output_tok_s: next() }
    })
}

fn read<T>(
    text: &str,
    results: &[&str],
    build: impl Fn(Row, &[Option<f64>]) -> T,
) -> Result<Vec<T>, Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| vec![error.to_string()])?.clone();
    let column = |name: &str| head.iter().position(|column| column == name);
    let missing: Vec<&str> =
        NEEDED.iter().chain(results.iter().take(2)).copied().filter(|name| column(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(vec![format!("columns missing: {}", missing.join(", "))]);
    }
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (at, record) in reader.records().enumerate() {
        let line = at + 2;
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                wrong.push(format!("line {line}: {error}"));
                continue;
            }
        };
        let text = |name: &str| column(name).and_then(|at| record.get(at)).unwrap_or("").trim().to_owned();
        let mut number = |name: &str| -> Option<f64> {
            let cell = text(name);
            if cell.is_empty() {
                return None;
            }
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() && value >= 0.0 => Some(value),
                _ => {
                    wrong.push(format!("line {line}, {name}: `{cell}` is not a number of at least 0"));
                    None
                }
            }
        };
        let n_gpu = number("n_gpu").unwrap_or(0.0);
        let (isl, osl) = (number("isl"), number("osl"));
        let concurrency = number("concurrency_or_batch");
        let results: Vec<Option<f64>> = results.iter().map(|name| number(name)).collect();
        let source = text("source");
        let row = Row {
            model: text("model"),
            gpu: text("gpu"),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just here")]
            n_gpu: if n_gpu <= 1e6 { n_gpu as u32 } else { 0 },
            precision: text("precision"),
            framework: text("framework"),
            isl,
            osl,
            concurrency,
            parallel: text("parallel"),
            scenario: text("scenario"),
            source: if source.is_empty() { text("source_repo") } else { source },
            id: text("row_id"),
        };
        rows.push(build(row, &results));
    }
    if wrong.is_empty() { Ok(rows) } else { Err(wrong) }
}

/// Writes measurements in the form in which they are shipped: what ran, what came out and where it is from.
///
/// Rows of sources without a licence are left out.
pub fn write_points(text: &str) -> Result<String, String> {
    const KEPT: [&str; 13] = [
        "model",
        "gpu",
        "n_gpu",
        "precision",
        "framework",
        "isl",
        "osl",
        "concurrency_or_batch",
        "output_tok_s",
        "ttft_ms",
        "tpot_ms",
        "parallel",
        "scenario",
    ];
    let fail = |error: csv::Error| error.to_string();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(fail)?.clone();
    let column = |name: &str| head.iter().position(|column| column == name);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(KEPT.iter().chain(&["source", "row_id"])).map_err(fail)?;
    for record in reader.records() {
        let record = record.map_err(fail)?;
        let cell = |name: &str| column(name).and_then(|at| record.get(at)).unwrap_or("");
        let (repository, commit, path) = (cell("source_repo"), cell("commit"), cell("source_path"));
        let source = if repository.starts_with("mlcommons/") {
            // The citation that MLCommons asks for: round, division and entry.
            let entry = path.split_once('#').map_or(path, |(_, entry)| entry);
            format!("MLPerf Inference v5.1, closed, {entry}")
        } else if repository.starts_with("ai-dynamo/") || repository.starts_with("NVIDIA/") {
            format!("{repository}@{}", commit.get(..7).unwrap_or(commit))
        } else {
            continue;
        };
        let cells = KEPT.iter().map(|name| cell(name)).chain([source.as_str(), cell("row_id")]);
        writer.write_record(cells).map_err(fail)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "model,gpu,n_gpu,precision,framework,isl,osl,concurrency_or_batch,output_tok_s,ttft_ms,tpot_ms";

    #[test]
    fn a_question_does_not_see_results() {
        let one = format!("{HEAD}\nllama-3.1-8b,H100,1,fp8,vllm,1024,128,8,1,2,3\n");
        let other = format!("{HEAD}\nllama-3.1-8b,H100,1,fp8,vllm,1024,128,8,nonsense,,\n");
        assert_eq!(read_rows(&one), read_rows(&other));
        assert!(read_points(&other).is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let text = format!("{HEAD}\nm,g,x,fp8,vllm,-1,128,8,,,\nm,g,1,fp8,vllm,1,NaN,8,,,\n");
        let wrong = read_rows(&text).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("line 2, n_gpu"), "{wrong:?}");
        assert_eq!(read_rows("model,gpu\n").unwrap_err().len(), 1);
    }
}
