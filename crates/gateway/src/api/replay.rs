//! `POST /api/v1/replay`: past requests against other prices or another policy, sent as text. The same figures as `tollgate
//! replay`. No vendor is called, no file of the machine is read, and nothing is changed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use catalog::Catalogue;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{Condition, Period, TrafficQuery};
use serde::Deserialize;

use super::ledger::read;
use super::{Admin, Problem};
use crate::app::App;
use crate::config::{Config, ConfigErrors, Sources};
use crate::keys::KeyRing;
use crate::replay::{self, Report, World};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The text of a config file: other routes, models or vendors.
    policy: Option<String>,
    /// Other prices: the text of an overlay (TOML) or a snapshot (JSON), on top of the running ones.
    prices: Option<String>,
    /// The moment whose prices hold; else now.
    at: Option<String>,
    since: Option<String>,
    until: Option<String>,
    /// `FIELD=VALUE`, as in `tollgate spend --where`.
    #[serde(default)]
    r#where: Vec<String>,
    assume_token_ratio: Option<f64>,
}

/// `POST /api/v1/replay`. One at a time: a replay of a long ledger keeps a core busy for seconds.
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    _: Admin,
    body: Bytes,
) -> Result<Json<Report>, Problem> {
    let asked: Asked = serde_json::from_slice(&body).map_err(bad)?;
    let (world, query) = asked.read(&app.config.load())?;
    let Ok(place) = Arc::clone(&app.replays).try_acquire_owned() else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "a replay is running; ask again when it is done",
        ));
    };
    let report = read(&app, move |reader| {
        let report = replay::run(reader, &query, &world)?;
        drop(place);
        Ok(report)
    });
    report.await.map(Json)
}

fn bad(error: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error.to_string())
}

impl Asked {
    fn read(&self, config: &Config) -> Result<(World, TrafficQuery), Problem> {
        let running = &config.catalogue;
        if self.policy.is_none() && self.prices.is_none() && self.at.is_none() {
            return Err(bad("needs `policy`, `prices` or `at`: what would be other than it was?"));
        }
        if self.assume_token_ratio.is_some_and(|ratio| !(0.1..=10.0).contains(&ratio)) {
            return Err(bad("`assume_token_ratio` is a ratio from 0.1 to 10"));
        }
        let now = Timestamp::now();
        let time = |text: &Option<String>| {
            text.as_deref().map(|text| ledger::moment(text, now, &TimeZone::UTC)).transpose().map_err(bad)
        };
        let there = match &self.prices {
            Some(text) => Arc::new(replay::with_prices(running, "prices", text).map_err(bad)?),
            None => Arc::clone(running),
        };
        let policy = self.policy.as_deref().map(|text| policy(text, config, &there, now)).transpose();
        let world = World {
            policy: policy.map_err(bad)?.map(Arc::new),
            catalogue: there,
            paid_at: Arc::clone(running),
            at: time(&self.at)?.unwrap_or(now),
            assumed_ratio: self.assume_token_ratio,
        };
        let filter = self.r#where.iter().map(|word| word.parse::<Condition>().map_err(bad));
        let filter = filter.collect::<Result<Vec<_>, _>>()?;
        let period = Period { since: time(&self.since)?, until: time(&self.until)? };
        Ok((world, TrafficQuery { period, filter, decisions: false }))
    }
}

/// A config whose secrets nobody needs: no environment variable and no file is read for it. It may name the overlay of the
/// running config, whose prices are there already.
fn policy(
    text: &str,
    running: &Config,
    there: &Arc<Catalogue>,
    now: Timestamp,
) -> Result<Config, ConfigErrors> {
    let ring = KeyRing::ephemeral().map_err(|e| ConfigErrors::whole("policy", e.to_string(), None))?;
    let sources = Sources {
        env: &|_| Some("not-needed".to_owned()),
        file: &|file| match file.extension() {
            Some(ending) if ending == "toml" && running.files.iter().any(|known| known == file) => {
                Ok(String::new())
            }
            Some(ending) if ending == "toml" => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "not read here; send it as `prices`"))
            }
            _ => Ok("not-needed".to_owned()),
        },
        catalogue: &|| Catalogue::clone(there),
        now,
        ..Sources::bare(&ring)
    };
    // Paths in it are relative to where the running config lies.
    let name = running.file.as_deref().unwrap_or(Path::new("tollgate.toml")).with_file_name("policy");
    Config::read(&name, text, &sources)
}
