//! What thresholds of a route are found on and for: its scores, what its doubt check sees, its prices. `tollgate route
//! tune` and the key `quality` go the same way.

use catalog::{Context, Tier, Usage};
use jiff::Timestamp;
use router::tune::{Calibration, Choice, Goal, NoChoice, Prices, Scores, tune};
use router::{Extent, HoldBack, Route, Until};

use crate::config::{Group, RouteConfig};

/// The call whose list price stands for others, where there is no ledger to ask.
pub const USUAL: Usage = Usage {
    input: 1_000,
    output: 300,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    input_audio: 0,
    cache_read_audio: 0,
    input_image: 0,
    reasoning: 0,
    output_audio: 0,
    output_image: 0,
    web_search: 0,
    basis: catalog::Basis::Estimated,
};

/// Without a price, and where the flagship is not the dearer one today, it is taken as this many times as dear.
const USUAL_RATIO: f64 = 10.0;

/// The scores that a route may act on: a doubt check holds answers back, so only a route that holds them anyway gets one.
pub fn scores(route: &Route) -> Scores {
    if route.after.is_empty() { Scores::Difficulty } else { Scores::Both }
}

/// What a doubt check of this bound reads.
pub fn extent(hold: HoldBack) -> Extent {
    match hold.until {
        Until::Prefix { tokens } if tokens < 256 => Extent::Start,
        Until::Prefix { .. } => Extent::Quarter,
        Until::End { .. } => Extent::Whole,
    }
}

/// List prices of [`USUAL`] calls, in dollars; `None` where one is unknown.
pub fn list_prices(default: &Group, escalate: &Group, at: Timestamp) -> Option<Prices> {
    let context = Context { tier: Tier::Standard, region: None, at };
    let price = |group: &Group| {
        let offer = &group.targets.first()?.offer;
        Some(offer.price(&USUAL, &context).total()?.to_f64_usd())
    };
    Some(Prices { weak: price(default)?, strong: price(escalate)? })
}

/// Thresholds for a route on benchmark data. Errors when these cannot say.
pub fn on_benchmark(route: &RouteConfig, prices: Option<Prices>, goal: Goal) -> Result<Choice, NoChoice> {
    // What a route promises to keep must not hang on today's prices: a config that loads today loads tomorrow.
    let dearer = prices.filter(|prices| prices.strong > prices.weak);
    let prices = dearer.unwrap_or(Prices { weak: 1.0, strong: USUAL_RATIO });
    let scores = scores(&route.route);
    let rows = Calibration::builtin().rows(scores, extent(route.route.hold_back));
    tune(rows, scores, prices, goal)
}

/// Everything would go to the strong model: no threshold says that.
pub fn is_all(choice: &Choice) -> bool {
    choice.before >= 1.0
}
