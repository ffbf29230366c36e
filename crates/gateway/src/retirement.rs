//! Models in use that end soon. Answers carry `sunset` headers, but nobody reads headers of answers that are good: the
//! log says it at the start and once a day, and `/api/v1/retirements` at any time.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::app::App;
use crate::config::{Config, Group};

/// Days before the last one from which on it is said.
pub const NOTICE_DAYS: i32 = 60;
const DAY: Duration = Duration::from_hours(24);

/// A configured model that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// `provider/model`.
    pub target: String,
    /// The last day on which it is served.
    pub last_day: Date,
    /// Days from today to then; negative when it is over.
    pub days_left: i32,
    /// What its vendor names instead.
    pub successor: Option<String>,
    /// Names of `[models]` and routes that use it.
    pub used_by: Vec<String>,
}

/// Configured models with an announced end, the nearest first.
pub fn ends(config: &Config, today: Date) -> Vec<End> {
    let mut ends: BTreeMap<String, End> = BTreeMap::new();
    let mut add = |user: &str, group: &Group| {
        for target in &group.targets {
            let Some(retires) = &target.offer.retires else { continue };
            let end = ends.entry(target.id.clone()).or_insert_with(|| End {
                target: target.id.clone(),
                last_day: retires.last_day,
                days_left: today.until(retires.last_day).map_or(i32::MAX, |left| left.get_days()),
                successor: retires.successor.clone(),
                used_by: Vec::new(),
            });
            if !end.used_by.iter().any(|known| known == user) {
                end.used_by.push(user.to_owned());
            }
        }
    };
    for (name, group) in &config.models {
        add(name, group);
    }
    for (name, route) in &config.routes {
        let groups = [Some(&route.default), route.escalate.as_ref(), route.last_resort.as_ref()];
        groups.into_iter().flatten().for_each(|group| add(name, group));
    }
    let mut ends: Vec<End> = ends.into_values().collect();
    ends.sort_by_key(|end| end.last_day);
    ends
}

/// Says at once and then daily what ends soon, as long as the process is there.
pub(crate) async fn watch(app: Weak<App>) {
    let mut days = tokio::time::interval(DAY);
    loop {
        days.tick().await;
        let Some(app) = app.upgrade() else { return };
        say(&app);
    }
}

fn say(app: &Arc<App>) {
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    for end in ends(&app.config.load(), today).into_iter().filter(|end| end.days_left <= NOTICE_DAYS) {
        tracing::warn!(
            target_model = end.target,
            last_day = %end.last_day,
            days_left = end.days_left,
            successor = end.successor.as_deref().unwrap_or("none named"),
            used_by = end.used_by.join(","),
            "a model in use retires; `tollgate eval replace {} --suite FILE` finds the cheapest that passes a suite",
            end.target
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_listed_with_their_users() {
        let dir = tempfile::tempdir().unwrap();
        let overlay = "[[model]]\ntarget = \"north/old\"\nlast_day = \"2026-12-24\"\nsuccessor = \"new\"\n\
                       [[model]]\ntarget = \"north/gone\"\nlast_day = \"2026-11-20\"\n";
        let config = "[catalogue]\noverlay = \"o.toml\"\n[providers.north]\nwire = \"openai\"\n\
                      base_url = \"http://127.0.0.1:9/v1\"\nallow_private = true\nauth = \"none\"\n\
                      [models.chat]\ntargets = [\"north/old\", \"north/stays\"]\n\
                      [routes.auto]\ndefault = \"chat\"\nescalate = \"north/gone\"\n";
        std::fs::write(dir.path().join("o.toml"), overlay).unwrap();
        let file = dir.path().join("tollgate.toml");
        std::fs::write(&file, config).unwrap();
        let origin = crate::config::store::Origin::reading(Some(file), None).unwrap().with_env(|_| None);
        let config = origin.load(1, "2026-11-24T00:00:00Z".parse().unwrap()).unwrap();
        let ends = ends(&config, Date::constant(2026, 11, 24));
        let told: Vec<_> =
            ends.iter().map(|e| (e.target.as_str(), e.days_left, e.used_by.join(","))).collect();
        assert_eq!(told, [("north/gone", -4, "auto".to_owned()), ("north/old", 30, "chat,auto".to_owned())]);
    }
}
