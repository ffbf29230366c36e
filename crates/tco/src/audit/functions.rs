//! What a formula may call: this crate's own functions, and a little arithmetic.
//!
//! Each function rises or falls in each of its arguments alone, so its bounds over ranges are found at their ends.

use crate::breakeven::{self, Fleet, OutputPrice, OutputTokensPerDay};

/// A function of numbers.
pub(crate) struct Function {
    pub name: &'static str,
    pub parameters: &'static [&'static str],
    /// So many of the last parameters may be left out; they are 0.
    pub optional: usize,
    pub apply: fn(&[f64]) -> Result<f64, Trouble>,
}

/// Why a function has no value.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    /// There is none, and this is why: it counts as infinitely far.
    Never(String),
    /// The arguments make no sense.
    Bad(String),
}

/// A fleet that runs whole replicas, beside a price elsewhere.
const FLEET_AGAINST_PRICE: [&str; 6] =
    ["usd_per_hour", "output_tok_s", "utilisation", "overhead_usd_per_day", "price", "spares"];

/// All functions but those that take any number of arguments (`min`, `max`, `sum`, `nth`, `cheapest`).
pub(crate) const FUNCTIONS: &[Function] = &[
    function("ceil", &["x"], |a| Ok(nth(a, 0).ceil())),
    function("floor", &["x"], |a| Ok(nth(a, 0).floor())),
    function("round", &["x"], |a| Ok(nth(a, 0).round())),
    function("sqrt", &["x"], |a| Ok(nth(a, 0).sqrt())),
    function("ln", &["x"], |a| Ok(nth(a, 0).ln())),
    function("unit_cost", &["usd_per_hour", "output_tok_s", "utilisation"], |a| {
        not_negative(a, "unit_cost")?;
        Ok(breakeven::unit_cost(nth(a, 0), nth(a, 1), nth(a, 2)))
    }),
    function("capacity", &["usd_per_hour", "usd_per_million", "utilisation"], |a| {
        // The unit cost solved for C: the two stand in each other's place.
        not_negative(a, "capacity")?;
        Ok(breakeven::unit_cost(nth(a, 0), nth(a, 1), nth(a, 2)))
    }),
    function("utilisation", &["usd_per_hour", "output_tok_s", "price"], |a| {
        // May be above 1 here: a claim about it is then refuted by the figure.
        not_negative(a, "utilisation")?;
        Ok(breakeven::unit_cost(nth(a, 0), nth(a, 1), 1.0) / nth(a, 2))
    }),
    function("v_min", &["overhead_usd_per_day", "price"], |a| Ok(nth(a, 0) / nth(a, 1) * 1e6)),
    function("break_even", &["overhead_usd_per_day", "price", "unit_cost"], |a| {
        let (overhead, price, cost) = (nth(a, 0), nth(a, 1), nth(a, 2));
        if cost >= price {
            return Err(Trouble::Never(format!(
                "c ≥ p: ${cost:.4} against ${price:.4} a million output tokens"
            )));
        }
        Ok(overhead / (price - cost) * 1e6)
    }),
    Function {
        name: "replicas",
        parameters: &["volume", "output_tok_s", "utilisation", "spares"],
        optional: 1,
        apply: |a| {
            let fleet = Fleet::new(0.0, nth(a, 1), nth(a, 2), 0.0).with_spares(spares(nth(a, 3))?);
            let replicas =
                fleet.replicas(OutputTokensPerDay(whole(nth(a, 0))?)).map_err(|invalid| bad(&invalid))?;
            Ok(OutputTokensPerDay(replicas).as_f64())
        },
    },
    Function {
        name: "self_hosted",
        parameters: &[
            "volume",
            "usd_per_hour",
            "output_tok_s",
            "utilisation",
            "overhead_usd_per_day",
            "spares",
        ],
        optional: 1,
        apply: |a| {
            let fleet =
                Fleet::new(nth(a, 1), nth(a, 2), nth(a, 3), nth(a, 4)).with_spares(spares(nth(a, 5))?);
            fleet.usd_per_day(OutputTokensPerDay(whole(nth(a, 0))?)).map_err(|invalid| bad(&invalid))
        },
    },
    Function {
        name: "first_win",
        parameters: &FLEET_AGAINST_PRICE,
        optional: 1,
        apply: |a| Ok(edges(a)?.first_win.as_f64()),
    },
    Function {
        name: "last_loss",
        parameters: &FLEET_AGAINST_PRICE,
        optional: 1,
        apply: |a| Ok(edges(a)?.last_loss.map_or(0.0, OutputTokensPerDay::as_f64)),
    },
    function("route", &["cheap", "flagship", "share"], |a| {
        Ok(OutputPrice::new(nth(a, 0)).escalating(nth(a, 2), OutputPrice::new(nth(a, 1))).usd_per_million())
    }),
    function("second_pass", &["cheap", "flagship", "share", "answer_as_input"], |a| {
        Ok(nth(a, 0) + nth(a, 2) * (nth(a, 1) + nth(a, 3)))
    }),
    function("route_then_second_pass", &["cheap", "flagship", "routed", "second", "answer_as_input"], |a| {
        let kept = nth(a, 0) + nth(a, 3) * (nth(a, 1) + nth(a, 4));
        Ok(nth(a, 2) * nth(a, 1) + (1.0 - nth(a, 2)) * kept)
    }),
    function("blend", &["input_price", "output_price", "input_share"], |a| {
        Ok(nth(a, 2) * nth(a, 0) + (1.0 - nth(a, 2)) * nth(a, 1))
    }),
];

/// The names of those that take any number of arguments.
pub(crate) const VARIADIC: [&str; 5] = ["min", "max", "sum", "nth", "cheapest"];

const fn function(
    name: &'static str,
    parameters: &'static [&'static str],
    apply: fn(&[f64]) -> Result<f64, Trouble>,
) -> Function {
    Function { name, parameters, optional: 0, apply }
}

/// Called with as many arguments as there are parameters.
fn nth(arguments: &[f64], at: usize) -> f64 {
    arguments.get(at).copied().unwrap_or_default()
}

fn not_negative(arguments: &[f64], name: &str) -> Result<(), Trouble> {
    // 0 is the end of a range (a utilisation that falls to nothing) and gives an infinite cost.
    if arguments.iter().any(|x| *x < 0.0) {
        return Err(Trouble::Bad(format!("`{name}` takes no negative number")));
    }
    Ok(())
}

fn bad(invalid: &crate::Invalid) -> Trouble {
    Trouble::Bad(invalid.to_string())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=10^18")]
fn whole(tokens: f64) -> Result<u64, Trouble> {
    if (0.0..=1e18).contains(&tokens) {
        return Ok(tokens.ceil() as u64);
    }
    Err(Trouble::Bad(format!("a volume of {tokens} tokens a day is out of range")))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=10^6")]
fn spares(count: f64) -> Result<u32, Trouble> {
    if (0.0..=1e6).contains(&count) && count.fract() == 0.0 {
        return Ok(count as u32);
    }
    Err(Trouble::Bad(format!("{count} spare replicas make no sense")))
}

fn edges(a: &[f64]) -> Result<breakeven::SawTooth, Trouble> {
    let fleet = Fleet::new(nth(a, 0), nth(a, 1), nth(a, 2), nth(a, 3)).with_spares(spares(nth(a, 5))?);
    let edges =
        breakeven::volume_edges(&fleet, OutputPrice::new(nth(a, 4))).map_err(|invalid| bad(&invalid))?;
    edges.whole.map_err(|why| Trouble::Never(why.to_string()))
}
