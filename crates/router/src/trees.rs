//! Boosted regression trees: prediction.
//!
//! Walking one tree after the other waits for a load and guesses a branch at every step. Here eight trees are walked side
//! by side, and a leaf leads to itself, so that every walk of a group has the same number of steps and no guess.

use crate::weights::{BadWeights, Reader, Writer};

/// One node of a tree, root first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Which figure is compared; [`LEAF`] at a leaf.
    pub(crate) figure: u32,
    /// At most this goes left; at a leaf, its value.
    pub(crate) value: f32,
    /// The left child within the tree; the right one stands behind it.
    pub(crate) left: u32,
}

pub(crate) const LEAF: u32 = u32::MAX;
/// Trees that are walked side by side.
const LANES: usize = 8;

/// The sum of many small trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Forest {
    base: f32,
    trees: Vec<Vec<Node>>,
    steps: Vec<Step>,
    /// The value of each leaf, at the place of its step.
    values: Vec<f32>,
    groups: Vec<Group>,
}

/// A node laid out for walking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Step {
    figure: u32,
    /// Infinite at a leaf: nothing is above it.
    limit: f32,
    /// Where to go, in `steps`; one further when above the limit.
    next: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Group {
    roots: [u32; LANES],
    trees: usize,
    depth: usize,
}

impl Forest {
    /// Lays the trees out.
    pub(crate) fn new(base: f32, trees: Vec<Vec<Node>>) -> Self {
        let (mut steps, mut values, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for group in trees.chunks(LANES) {
            let mut laid = Group { roots: [0; LANES], trees: group.len(), depth: 0 };
            for (root, tree) in laid.roots.iter_mut().zip(group) {
                let start = u32::try_from(steps.len()).unwrap_or(0);
                *root = start;
                laid.depth = laid.depth.max(depth(tree));
                for (at, node) in (start..).zip(tree) {
                    let leaf = node.figure == LEAF;
                    steps.push(if leaf {
                        Step { figure: 0, limit: f32::INFINITY, next: at }
                    } else {
                        Step { figure: node.figure, limit: node.value, next: start + node.left }
                    });
                    values.push(if leaf { node.value } else { 0.0 });
                }
            }
            groups.push(laid);
        }
        Self { base, trees, steps, values, groups }
    }

    pub(crate) fn predict(&self, figures: &[f32]) -> f64 {
        let mut sum = f64::from(self.base);
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.depth {
                for lane in &mut at {
                    let step = self.steps.get(*lane as usize).copied().unwrap_or_default();
                    let figure = figures.get(step.figure as usize).copied().unwrap_or(0.0);
                    *lane = step.next + u32::from(figure > step.limit);
                }
            }
            for leaf in at.iter().take(group.trees) {
                sum += self.values.get(*leaf as usize).copied().map_or(0.0, f64::from);
            }
        }
        sum
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.f32(self.base);
        out.count(self.trees.len());
        for tree in &self.trees {
            out.count(tree.len());
            for node in tree {
                out.u32(node.figure);
                out.f32(node.value);
                out.u32(node.left);
            }
        }
    }

    /// Checks that every path ends: children stand behind their parent.
    pub(crate) fn read(from: &mut Reader<'_>, figures: usize) -> Result<Self, BadWeights> {
        let base = from.f32()?;
        let count = from.count()?;
        let mut trees = Vec::new();
        for _ in 0..count {
            let nodes = from.count()?;
            let mut tree = Vec::new();
            for at in 0..nodes {
                let node = Node { figure: from.u32()?, value: from.f32()?, left: from.u32()? };
                let left = node.left as usize;
                if node.figure != LEAF && !(left > at && left + 1 < nodes && (node.figure as usize) < figures)
                {
                    return Err(BadWeights::Damaged("a tree"));
                }
                tree.push(node);
            }
            if tree.is_empty() {
                return Err(BadWeights::Damaged("a tree"));
            }
            trees.push(tree);
        }
        Ok(Self::new(base, trees))
    }
}

/// Steps from the root to the deepest leaf. Children stand behind their parent, so one pass backwards is enough.
fn depth(tree: &[Node]) -> usize {
    let mut below = vec![0_usize; tree.len()];
    for (at, node) in tree.iter().enumerate().rev() {
        if node.figure != LEAF {
            let left = node.left as usize;
            let child = |at: usize| below.get(at).copied().unwrap_or(0);
            let deeper = 1 + child(left).max(child(left + 1));
            if let Some(slot) = below.get_mut(at) {
                *slot = deeper;
            }
        }
    }
    below.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_end_at_the_leaf_that_the_limits_say() {
        let split = |figure, value, left| Node { figure, value, left };
        let leaf = |value| Node { figure: LEAF, value, left: 0 };
        // 0: x0 ≤ 1 → leaf 10, else x1 ≤ 5 → leaf 20, else leaf 30
        let tree = vec![split(0, 1.0, 1), leaf(10.0), split(1, 5.0, 3), leaf(20.0), leaf(30.0)];
        let trees: Vec<Vec<Node>> =
            (0..11).map(|k| if k == 10 { vec![leaf(0.5)] } else { tree.clone() }).collect();
        let forest = Forest::new(2.0, trees);
        for (figures, value) in [([1.0, 9.0], 10.0), ([1.5, 5.0], 20.0), ([1.5, 5.5], 30.0)] {
            assert!((forest.predict(&figures) - (2.5 + 10.0 * value)).abs() < 1e-9, "{figures:?}");
        }
    }
}
