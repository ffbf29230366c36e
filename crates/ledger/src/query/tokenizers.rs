//! How many tokens different models counted in the same prompt.
//!
//! The same text has different lengths for different tokenizers. The obvious alternative, bytes of the prompt over
//! tokens, needs texts that the ledger does not keep, and mixes in each model's own kind of traffic. Where two models
//! read the same prompt in one request (a check turned the first answer down, a vendor failed after counting) their
//! counts compare directly.

use rusqlite::{Connection, params_from_iter};

use crate::Outcome;
use crate::query::{Period, Sql};
use crate::reader::{SCHEMAS, attempts_of_r, not_echo, with_attempts};

/// Two models and the prompts that both read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamePrompts {
    /// `provider/model` that read them first.
    pub first: String,
    /// `provider/model` that read them again.
    pub second: String,
    /// How many.
    pub prompts: u64,
    /// Their input tokens as the first model's vendor reported them, cached ones included.
    pub first_tokens: u64,
    /// The same for the second.
    pub second_tokens: u64,
}

/// Input tokens of an attempt.
fn input_of(attempt: &str) -> String {
    const BUCKETS: [&str; 7] = [
        "input",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "input_audio",
        "cache_read_audio",
        "input_image",
    ];
    BUCKETS.map(|bucket| format!("{attempt}.{bucket}")).join(" + ")
}

/// Pairs of models over store and spool; a pair may come twice, once from each. Errors as SQLite does.
pub(crate) fn run(conn: &Connection, period: Period) -> rusqlite::Result<Vec<SamePrompts>> {
    let (first, second) = (input_of("a"), input_of("b"));
    let answered =
        [Outcome::Ok, Outcome::Rejected].map(|outcome| format!("'{}'", outcome.as_str())).join(", ");
    let mut pairs = Vec::new();
    for schema in SCHEMAS {
        let mut sql = Sql::default();
        let within = sql.period(period);
        // Counts further apart than twice are no tokenizer's: the second model was shown the first one's answer too.
        let text = format!(
            "SELECT a.provider || '/' || a.model, b.provider || '/' || b.model, count(*), sum({first}), sum({second})
             FROM {} CROSS JOIN {schema}.attempt b ON {} AND b.seq > a.seq
             WHERE {} AND {within} AND (b.provider <> a.provider OR b.model <> a.model)
               AND a.usage_estimated = 0 AND b.usage_estimated = 0
               AND a.outcome IN ({answered}) AND b.outcome IN ({answered})
               AND {first} > 0 AND ({second}) BETWEEN ({first}) / 2.0 AND ({first}) * 2.0
             GROUP BY 1, 2",
            with_attempts(schema),
            attempts_of_r("b"),
            not_echo(schema)
        );
        let mut statement = conn.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(sql.params))?;
        while let Some(row) = rows.next()? {
            let count = |column: usize| row.get(column).map(|n: i64| u64::try_from(n).unwrap_or(0));
            pairs.push(SamePrompts {
                first: row.get(0)?,
                second: row.get(1)?,
                prompts: count(2)?,
                first_tokens: count(3)?,
                second_tokens: count(4)?,
            });
        }
    }
    Ok(pairs)
}
