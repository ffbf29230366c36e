//! Boosted regression trees: prediction.

use crate::weights::{BadWeights, Reader, Writer};

/// Nodes of one tree, root first. A leaf has `figure == LEAF`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Which figure is compared.
    pub(crate) figure: u32,
    /// At most this goes left; at a leaf, its value.
    pub(crate) value: f32,
    /// The left child; the right one stands behind it.
    pub(crate) left: u32,
}

pub(crate) const LEAF: u32 = u32::MAX;

/// The sum of many small trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Forest {
    pub(crate) base: f32,
    pub(crate) trees: Vec<Vec<Node>>,
}

impl Forest {
    pub(crate) fn predict(&self, figures: &[f32]) -> f64 {
        let mut sum = f64::from(self.base);
        for tree in &self.trees {
            sum += leaf(tree, figures);
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
            trees.push(tree);
        }
        Ok(Self { base, trees })
    }
}

fn leaf(tree: &[Node], figures: &[f32]) -> f64 {
    let mut at = 0;
    loop {
        let Some(node) = tree.get(at) else { return 0.0 };
        if node.figure == LEAF {
            return f64::from(node.value);
        }
        let right = figures.get(node.figure as usize).is_some_and(|x| *x > node.value);
        at = node.left as usize + usize::from(right);
    }
}
