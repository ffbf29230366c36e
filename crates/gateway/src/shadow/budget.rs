//! Dollars a day for shadow and judge calls, by route: reserved before a call and settled after it (LAW 5). What was spent
//! today before this process began is read from the ledger once, so that a restart brings no second budget. A call
//! whose real cost exceeds its estimate can overshoot by the difference; the next ones then wait for tomorrow.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use catalog::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::{Condition, Period, Reader, SpendQuery};

use crate::app::App;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Another model's answer.
    Shadow,
    /// A comparison.
    Judge,
}

impl Kind {
    /// The word in the ledger's `op`, in reasons and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Judge => "judge",
        }
    }
}

type Days = HashMap<(Kind, String), (Date, Money)>;

/// What was spent or reserved today, by kind and route.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    days: Arc<Mutex<Days>>,
}

/// Money set aside for one call. Dropped without being settled, it stays spent: the call may have been billed.
#[must_use]
pub struct Reserved {
    days: Arc<Mutex<Days>>,
    key: (Kind, String),
    day: Date,
    estimate: Money,
}

impl Budgets {
    /// Sets `estimate` aside. `None` when the day's budget has no room for it.
    pub async fn reserve(
        &self,
        app: &App,
        kind: Kind,
        route: &str,
        usd_per_day: Money,
        estimate: Money,
    ) -> Option<Reserved> {
        let key = (kind, route.to_owned());
        let today = today();
        let known = lock(&self.days).get(&key).is_some_and(|(day, _)| *day == today);
        // Read outside the lock; of two that read at once, the first to come back sets the sum.
        let before = if known { Money::ZERO } else { spent_today(app.data_dir.clone(), kind, route).await? };
        let mut days = lock(&self.days);
        let (day, spent) = days.entry(key.clone()).or_insert((today, before));
        if *day != today {
            (*day, *spent) = (today, before);
        }
        if *spent + estimate > usd_per_day {
            return None;
        }
        *spent += estimate;
        Some(Reserved { days: Arc::clone(&self.days), key, day: today, estimate })
    }

    /// Spent or reserved today; `None` when nothing was asked of this process yet.
    pub fn today(&self, kind: Kind, route: &str) -> Option<Money> {
        let days = lock(&self.days);
        days.get(&(kind, route.to_owned())).filter(|(day, _)| *day == today()).map(|(_, spent)| *spent)
    }
}

impl Reserved {
    /// The call is over, at this cost; `None`: unknown, so that the estimate stands.
    pub fn settle(self, cost: Option<Money>) {
        let Some(cost) = cost else { return };
        if let Some((day, spent)) = lock(&self.days).get_mut(&self.key)
            && *day == self.day
        {
            *spent = *spent - self.estimate + cost;
        }
    }
}

fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// What the ledger says was spent since midnight, UTC. `None` when it cannot be read: then nothing may be spent.
async fn spent_today(dir: PathBuf, kind: Kind, route: &str) -> Option<Money> {
    let midnight = today().at(0, 0, 0, 0).to_zoned_datetime(TimeZone::UTC).ok()?.timestamp();
    let query = SpendQuery {
        period: Period { since: Some(midnight), until: None },
        filter: vec![Condition::Op(kind.as_str().to_owned()), Condition::Route(Some(route.to_owned()))],
        ..SpendQuery::default()
    };
    let reading = tokio::task::spawn_blocking(move || {
        let reader = Reader::open(&dir).map_err(|e| e.to_string())?;
        reader.spend(&query).map(|spend| spend.total.cost_usd).map_err(|e| e.to_string())
    });
    match reading.await {
        Ok(Ok(spent)) => Some(spent),
        Ok(Err(error)) => {
            tracing::warn!(error, "no shadow call: the ledger cannot say what was spent today");
            None
        }
        Err(_) => None,
    }
}

fn lock(days: &Mutex<Days>) -> std::sync::MutexGuard<'_, Days> {
    days.lock().unwrap_or_else(PoisonError::into_inner)
}
