//! Embedding vectors: a function of the text, of unit length, and no more meaningful than that.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A vector of `length` numbers.
pub(crate) fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut rng = fastrand::Rng::with_seed(hasher.finish());
    let raw: Vec<f32> = (0..length).map(|_| rng.f32() - 0.5).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_unit_length_and_depend_on_the_text() {
        let norm = vector("a", 64).iter().map(|x| x * x).sum::<f32>();
        assert!((norm - 1.0).abs() < 1e-4, "{norm}");
        assert_eq!(vector("a", 8), vector("a", 8));
        assert_ne!(vector("a", 8), vector("b", 8));
        assert!(vector("a", 0).is_empty());
    }
}
