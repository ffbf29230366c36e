//! Gradient-boosted regression trees on binned figures: the usual histogram method, leaf by leaf, best gain first.
//!
//! A library would be faster; none gives the same bits on two machines and adds nothing else that is needed here.

use crate::trees::{Forest, LEAF, Node};

/// Bins of one figure.
const BINS: usize = 64;

/// How to grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grow {
    pub(super) trees: usize,
    pub(super) leaves: usize,
    /// Splits from the root to a leaf at most: bounds the time of a prediction.
    pub(super) deepest: usize,
    pub(super) rate: f64,
    /// Rows that a leaf must hold.
    pub(super) least: u32,
    /// Added to the weight of a leaf: shrinks its value.
    pub(super) ridge: f64,
    /// Share of the figures that a tree may use.
    pub(super) figures: f64,
    /// Share of the rows that a tree sees.
    pub(super) rows: f64,
}

/// Figures of all rows, binned by column.
pub(super) struct Binned {
    columns: Vec<Vec<u8>>,
    edges: Vec<Vec<f32>>,
    rows: usize,
}

impl Binned {
    /// Edges at the quantiles of `rows`.
    pub(super) fn new(rows: &[Vec<f32>]) -> Self {
        let figures = rows.first().map_or(0, Vec::len);
        let mut columns = Vec::with_capacity(figures);
        let mut edges = Vec::with_capacity(figures);
        for figure in 0..figures {
            let values: Vec<f32> = rows.iter().map(|r| r.get(figure).copied().unwrap_or(0.0)).collect();
            let cuts = cuts(&values);
            columns.push(
                values
                    .iter()
                    .map(|x| u8::try_from(cuts.partition_point(|c| c < x)).unwrap_or(u8::MAX))
                    .collect(),
            );
            edges.push(cuts);
        }
        Self { columns, edges, rows: rows.len() }
    }

    /// Fits a forest to `targets`.
    pub(super) fn boost(&self, targets: &[f64], weights: &[f64], grow: Grow, seed: u64) -> Forest {
        let total: f64 = weights.iter().sum();
        let base =
            targets.iter().zip(weights).map(|(y, w)| y * w).sum::<f64>() / total.max(f64::MIN_POSITIVE);
        let base = super::single(base);
        let mut trees = Vec::with_capacity(grow.trees);
        let mut residual: Vec<f64> = targets.iter().map(|y| y - f64::from(base)).collect();
        let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
        for _ in 0..grow.trees {
            let figures = random.subset(self.columns.len(), grow.figures);
            let rows = random.rows(self.rows, grow.rows);
            let tree =
                Growing { data: self, residual: &residual, weights, grow, figures: &figures }.tree(rows);
            for (row, r) in residual.iter_mut().enumerate() {
                *r -= self.leaf(&tree, row);
            }
            trees.push(tree.into_iter().map(|b| b.node).collect());
        }
        Forest::new(base, trees)
    }

    fn leaf(&self, tree: &[Branch], row: usize) -> f64 {
        let mut at = 0;
        while let Some(branch) = tree.get(at) {
            if branch.node.figure == LEAF {
                return f64::from(branch.node.value);
            }
            at = branch.node.left as usize
                + usize::from(self.bin(branch.node.figure as usize, row) > branch.bin);
        }
        0.0
    }

    fn bin(&self, figure: usize, row: usize) -> u8 {
        self.columns.get(figure).and_then(|c| c.get(row)).copied().unwrap_or(0)
    }
}

/// Values between bins: a value equal to a cut lies below it, as [`Forest::predict`] compares.
fn cuts(values: &[f32]) -> Vec<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut cuts: Vec<f32> = (1..BINS)
        .filter_map(|k| sorted.get(k * sorted.len() / BINS).copied())
        .filter(|cut| Some(cut) != sorted.last())
        .collect();
    cuts.dedup();
    cuts
}

struct Branch {
    node: Node,
    bin: u8,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    sum: f64,
    weight: f64,
    rows: u32,
}

impl Cell {
    fn add(&mut self, sum: f64, weight: f64) {
        self.sum += sum;
        self.weight += weight;
        self.rows += 1;
    }

    fn join(&mut self, other: Self) {
        self.sum += other.sum;
        self.weight += other.weight;
        self.rows += other.rows;
    }

    fn without(self, other: Self) -> Self {
        Self { sum: self.sum - other.sum, weight: self.weight - other.weight, rows: self.rows - other.rows }
    }
}

struct Growing<'a> {
    data: &'a Binned,
    residual: &'a [f64],
    weights: &'a [f64],
    grow: Grow,
    figures: &'a [usize],
}

struct Open {
    at: usize,
    depth: usize,
    rows: Vec<u32>,
    bins: Histograms,
    split: Option<Split>,
}

/// A histogram for each figure that the tree may use.
type Histograms = Vec<[Cell; BINS]>;

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    figure: usize,
    bin: u8,
}

impl Growing<'_> {
    fn tree(&self, rows: Vec<u32>) -> Vec<Branch> {
        let mut tree = vec![self.leaf(&rows)];
        let bins = self.bins(&rows);
        let mut open = vec![self.open(0, 0, rows, bins)];
        for _ in 1..self.grow.leaves {
            let gain = |at: usize| open.get(at).and_then(|o| o.split).map_or(0.0, |s| s.gain);
            // The first of equals, so that the order is fixed.
            let best = (0..open.len()).reduce(|a, b| if gain(b) > gain(a) { b } else { a });
            let Some((chosen, split)) = best.and_then(|at| Some((at, open.get(at)?.split?))) else { break };
            let Open { at, depth, rows, bins, .. } = open.swap_remove(chosen);
            let (left, right): (Vec<u32>, Vec<u32>) =
                rows.iter().partition(|row| self.data.bin(split.figure, **row as usize) <= split.bin);
            let child = tree.len();
            if let Some(branch) = tree.get_mut(at) {
                let edge = self.data.edges.get(split.figure).and_then(|e| e.get(usize::from(split.bin)));
                branch.node = Node {
                    figure: u32::try_from(split.figure).unwrap_or(LEAF),
                    value: edge.copied().unwrap_or(f32::MAX),
                    left: u32::try_from(child).unwrap_or(0),
                };
                branch.bin = split.bin;
            }
            tree.push(self.leaf(&left));
            tree.push(self.leaf(&right));
            // The larger side is what the smaller one leaves.
            let (left_bins, right_bins) = if left.len() <= right.len() {
                let small = self.bins(&left);
                let rest = without(bins, &small);
                (small, rest)
            } else {
                let small = self.bins(&right);
                (without(bins, &small), small)
            };
            open.push(self.open(child, depth + 1, left, left_bins));
            open.push(self.open(child + 1, depth + 1, right, right_bins));
        }
        tree
    }

    fn cell(&self, row: u32) -> (f64, f64) {
        let weight = self.weights.get(row as usize).copied().unwrap_or(0.0);
        (weight * self.residual.get(row as usize).copied().unwrap_or(0.0), weight)
    }

    fn leaf(&self, rows: &[u32]) -> Branch {
        let mut all = Cell::default();
        for row in rows {
            let (sum, weight) = self.cell(*row);
            all.add(sum, weight);
        }
        let value = super::single(self.grow.rate * all.sum / (all.weight + self.grow.ridge));
        Branch { node: Node { figure: LEAF, value, left: 0 }, bin: 0 }
    }

    fn open(&self, at: usize, depth: usize, rows: Vec<u32>, bins: Histograms) -> Open {
        let splittable = depth < self.grow.deepest && rows.len() >= 2 * self.grow.least as usize;
        let split = if splittable { self.best(&bins) } else { None };
        Open { at, depth, rows, bins, split }
    }

    fn bins(&self, rows: &[u32]) -> Histograms {
        let cells: Vec<(usize, f64, f64)> = rows
            .iter()
            .map(|row| {
                let (sum, weight) = self.cell(*row);
                (*row as usize, sum, weight)
            })
            .collect();
        let histogram = |figure: &usize| {
            let mut bins = [Cell::default(); BINS];
            let column = self.data.columns.get(*figure).map_or(&[][..], Vec::as_slice);
            for (row, sum, weight) in &cells {
                let bin = column.get(*row).copied().unwrap_or(0);
                if let Some(cell) = bins.get_mut(usize::from(bin)) {
                    cell.add(*sum, *weight);
                }
            }
            bins
        };
        self.figures.iter().map(histogram).collect()
    }

    fn best(&self, bins: &Histograms) -> Option<Split> {
        let mut best: Option<Split> = None;
        for (figure, bins) in self.figures.iter().zip(bins) {
            if let Some((gain, bin)) = self.cut(bins)
                && best.is_none_or(|b| gain > b.gain)
            {
                best = Some(Split { gain, figure: *figure, bin });
            }
        }
        best
    }

    /// The best cut of one figure's histogram.
    fn cut(&self, bins: &[Cell; BINS]) -> Option<(f64, u8)> {
        let mut all = Cell::default();
        for cell in bins {
            all.join(*cell);
        }
        let value = |c: Cell| c.sum * c.sum / (c.weight + self.grow.ridge);
        let (mut left, mut best) = (Cell::default(), None);
        for (bin, cell) in (0_u8..).zip(bins) {
            left.join(*cell);
            let right = all.without(left);
            if left.rows < self.grow.least || cell.rows == 0 {
                continue;
            }
            if right.rows < self.grow.least {
                break;
            }
            let gain = value(left) + value(right) - value(all);
            if gain > 1e-12 && best.is_none_or(|(b, _)| gain > b) {
                best = Some((gain, bin));
            }
        }
        best
    }
}

fn without(mut bins: Histograms, small: &Histograms) -> Histograms {
    for (bins, small) in bins.iter_mut().zip(small) {
        bins.iter_mut().zip(small).for_each(|(all, part)| *all = all.without(*part));
    }
    bins
}

/// `splitmix64`: a seeded source that every machine repeats.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [0, n).
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or(0)
    }

    fn subset(&mut self, n: usize, share: f64) -> Vec<usize> {
        let mut chosen: Vec<usize> = (0..n).filter(|_| self.unit() < share).collect();
        if chosen.is_empty() {
            chosen.push(self.below(n));
        }
        chosen
    }

    fn rows(&mut self, n: usize, share: f64) -> Vec<u32> {
        (0..u32::try_from(n).unwrap_or(u32::MAX)).filter(|_| self.unit() < share).collect()
    }
}
