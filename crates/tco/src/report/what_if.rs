//! What changes when inputs do: curves, tornado, flip points, grids.

use serde::Serialize;

use super::{Count, Unit, Usd};

/// Cost against volume.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curve {
    /// Output tokens a day, ascending.
    pub output_tokens_per_day: Vec<Count>,
    /// One a stack.
    pub series: Vec<Series>,
}

/// One stack's cost at each volume.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The stack.
    pub stack: String,
    /// Dollars a month.
    pub monthly_usd: Vec<Usd>,
}

/// What a million output tokens cost near a break-even, where whole replicas make steps.
#[derive(Clone, Debug, Serialize)]
pub struct SawTeeth {
    /// The own stack.
    pub stack: String,
    /// The comparator.
    pub against: String,
    /// As in the break-even.
    pub first_win: Count,
    /// As in the break-even.
    pub last_loss: Option<Count>,
    /// Output tokens a day, ascending.
    pub output_tokens_per_day: Vec<Count>,
    /// The own stack, everything included.
    pub stack_usd_per_million_output: Vec<Unit>,
    /// The comparator, everything included.
    pub against_usd_per_million_output: Vec<Unit>,
}

/// What one input does to the decision.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// The input.
    pub input: String,
    /// Its unit.
    pub unit: &'static str,
    /// Its low value.
    pub low: Unit,
    /// Its high value.
    pub high: Unit,
    /// What low and high are: `p10 to p90`, or `±20 %`.
    pub swing: &'static str,
    /// The winner's margin over the best other stack at the low value; negative: it loses.
    pub margin_low_usd: Usd,
    /// The same at the high value.
    pub margin_high_usd: Usd,
    /// The winner's cost a month at the low value.
    pub winner_low_usd: Usd,
    /// The same at the high value.
    pub winner_high_usd: Usd,
    /// Another stack is the cheapest at one of the two.
    pub flips: bool,
}

/// Where the order of two stacks turns over when one input changes.
#[derive(Clone, Debug, Serialize)]
pub struct Flip {
    /// The stack that begins to win.
    pub stack: String,
    /// Over that one.
    pub against: String,
    /// The input.
    pub input: String,
    /// Its unit.
    pub unit: &'static str,
    /// Its value now.
    pub now: Unit,
    /// Where it turns over.
    pub at: Unit,
    /// `below` or `above`: on which side of `at` the stack wins.
    pub side: &'static str,
    /// In a sentence.
    pub says: String,
}

/// A two-way grid: who wins, and by how much.
#[derive(Clone, Debug, Serialize)]
pub struct Grid {
    /// The input along a row.
    pub x: String,
    /// Its unit.
    pub x_unit: &'static str,
    /// Its values.
    pub xs: Vec<Unit>,
    /// The input along a column.
    pub y: String,
    /// Its unit.
    pub y_unit: &'static str,
    /// Its values.
    pub ys: Vec<Unit>,
    /// For each y, for each x: the index of the cheapest stack in `stacks`.
    pub winner: Vec<Vec<Option<usize>>>,
    /// For each y, for each x: dollars a month between the cheapest and the next.
    pub margin_usd: Vec<Vec<Usd>>,
    /// Names.
    pub stacks: Vec<String>,
}

/// The decision matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// Output tokens a day of the columns.
    pub output_tokens_per_day: Vec<Count>,
    /// Conditions.
    pub rows: Vec<MatrixRow>,
}

/// The cheapest stack under a condition, for each volume.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixRow {
    /// In words.
    pub condition: String,
    /// One for each volume.
    pub cells: Vec<Cell>,
}

/// A cell of the matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The cheapest; `null` when none meets the condition.
    pub stack: Option<String>,
    /// Its dollars a month.
    pub monthly_usd: Option<Usd>,
}
