//! What a source states, by the kind of claim.

use super::eval::Meaning;
use super::figure::{Figure, Match, Printed, Style};
use super::interval::Interval;

/// The kinds of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One figure, or a row of them.
    Value,
    /// From one figure to another.
    Range,
    /// Who is cheapest, perhaps by how much.
    Winner,
    /// That something can be.
    Feasible,
}

impl Kind {
    pub const ALL: [(&str, Self); 4] = [
        ("value", Self::Value),
        ("range", Self::Range),
        ("winner", Self::Winner),
        ("feasible", Self::Feasible),
    ];
}

/// A stated figure, range, row or winner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stated {
    /// The claim states no figure of its own.
    Nothing,
    One(Figure, Style),
    Row(Vec<Figure>, Style),
    Range(Figure, Figure, Style),
    Winner {
        name: String,
        by: Option<Printed>,
    },
}

impl Stated {
    /// From the printed texts of the file: one, or the items of an array. Errors with what is wrong.
    pub fn read(kind: Kind, texts: &[String], array: bool) -> Result<Self, String> {
        match (kind, texts) {
            (Kind::Winner, [text]) if !array => winner(text),
            (Kind::Winner, _) => {
                Err("a winner is one text: \"serverless\" or \"serverless 2–4×\"".to_owned())
            }
            (_, []) => Err("an empty array states nothing".to_owned()),
            (_, [text]) if !array => {
                let printed = figure(text)?;
                Ok(match printed.high {
                    Some(high) => Self::Range(printed.low, high, printed.style),
                    None => Self::One(printed.low, printed.style),
                })
            }
            (Kind::Range | Kind::Feasible, [low, high]) => {
                let (low, high) = (figure(low)?, figure(high)?);
                if low.low.value > high.low.value {
                    return Err("a range goes from the smaller to the larger".to_owned());
                }
                Ok(Self::Range(low.low, high.low, high.style))
            }
            (Kind::Range | Kind::Feasible, _) => Err("a range has two ends".to_owned()),
            (Kind::Value, texts) => {
                let printed: Vec<Printed> =
                    texts.iter().map(|text| figure(text)).collect::<Result<_, _>>()?;
                let style = printed.last().map_or_else(Style::plain, |last| last.style.clone());
                Ok(Self::Row(printed.into_iter().map(|printed| printed.low).collect(), style))
            }
        }
    }

    pub fn style(&self) -> Option<&Style> {
        match self {
            Self::One(_, style) | Self::Row(_, style) | Self::Range(_, _, style) => Some(style),
            Self::Winner { by, .. } => by.as_ref().map(|by| &by.style),
            Self::Nothing => None,
        }
    }

    /// Its figures; a winner has none.
    pub fn figures(&self) -> Vec<Figure> {
        match self {
            Self::One(figure, _) => vec![*figure],
            Self::Row(figures, _) => figures.clone(),
            Self::Range(low, high, _) => vec![*low, *high],
            Self::Nothing | Self::Winner { .. } => Vec::new(),
        }
    }

    /// What its id means in a formula.
    pub fn meaning(&self) -> Option<Meaning> {
        let figures = self.figures();
        match figures.as_slice() {
            [] => None,
            [one] => Some(Meaning::Bounds(Interval::point(one.value))),
            several => Some(Meaning::Several(several.iter().map(|f| Interval::point(f.value)).collect())),
        }
    }

    /// How well it agrees with what was worked out. `Err` when the two cannot be compared.
    pub fn against(&self, computed: &[Interval]) -> Result<Match, String> {
        match (self, computed) {
            (Self::Nothing | Self::Winner { .. }, _) => Ok(Match::Printed),
            (_, []) => Err("the formula gives no figure to compare with".to_owned()),
            (Self::Row(figures, _), several) if figures.len() == several.len() => Ok(figures
                .iter()
                .zip(several)
                .map(|(figure, one)| near(*figure, *one))
                .max()
                .unwrap_or(Match::Printed)),
            (Self::Row(figures, _), several) => {
                Err(format!("{} figures are stated and {} worked out", figures.len(), several.len()))
            }
            // One figure for several cases must fit each of them.
            (Self::One(figure, _), several) => {
                Ok(several.iter().map(|one| near(*figure, *one)).max().unwrap_or(Match::Printed))
            }
            (Self::Range(low, high, _), [one]) if one.is_point() => Ok(within(*low, *high, one.low)),
            (Self::Range(low, high, _), several) => {
                let all = Interval::hull(several.iter().flat_map(|one| [one.low, one.high]));
                let all = all.ok_or("the formula gives no figure to compare with")?;
                Ok(low.against(all.low).max(high.against(all.high)))
            }
        }
    }

    /// Whether any figure within `attainable` agrees with it.
    pub fn possible(&self, attainable: Interval) -> bool {
        match self {
            Self::Nothing | Self::Winner { .. } => true,
            Self::One(..) | Self::Row(..) => {
                self.figures().iter().any(|figure| near(*figure, attainable) != Match::Off)
            }
            Self::Range(low, high, _) => {
                attainable.meets(Interval::new(low.value, high.value))
                    || near(*low, attainable).min(near(*high, attainable)) == Match::Printed
            }
        }
    }
}

/// A figure against bounds: inside them it agrees; outside, the nearer end decides.
fn near(figure: Figure, bounds: Interval) -> Match {
    if bounds.holds(figure.value) {
        return Match::Printed;
    }
    figure.against(bounds.low).min(figure.against(bounds.high))
}

fn within(low: Figure, high: Figure, computed: f64) -> Match {
    if low.value <= computed && computed <= high.value {
        return Match::Printed;
    }
    low.rounds_to(computed).min(high.rounds_to(computed))
}

fn figure(text: &str) -> Result<Printed, String> {
    if ["none", "never"].contains(&text.trim()) {
        return Ok(Printed { low: Figure::exact(f64::INFINITY), high: None, style: Style::plain() });
    }
    Printed::read(text).ok_or_else(|| format!("\"{text}\" holds no figure"))
}

/// `serverless`, `serverless 80–160×`, `self-hosted by 2×`.
fn winner(text: &str) -> Result<Stated, String> {
    let text = text.trim();
    let cut = text
        .find([' ', '\t'])
        .filter(|at| text.get(*at..).is_some_and(|rest| rest.contains(|c: char| c.is_ascii_digit())));
    let (name, by) = cut.map_or((text, None), |at| (text.get(..at).unwrap_or(text), text.get(at..)));
    if name.is_empty() {
        return Err("a winner has a name".to_owned());
    }
    let by = by.map(|by| by.trim_start().trim_start_matches("by ")).map(figure).transpose()?;
    Ok(Stated::Winner { name: name.to_owned(), by })
}

/// Whether two spellings name the same stack: `self-hosted`, `self_hosted`, `Self hosted`.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    plain(a) == plain(b)
}
