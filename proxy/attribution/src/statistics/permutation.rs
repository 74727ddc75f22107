//! Permutation test over blocks: requests of one second or of one connection share their fate, so they are not counted
//! as independent; only whole blocks are.

use super::random::Random;

/// How often signs are drawn.
const DRAWS: u32 = 10_000;

/// Whether a difference that each block shows is there at all: under the hypothesis that it is not, every block's
/// difference is as likely to have the other sign. Returns the share of sign patterns, drawn from a fixed seed, whose
/// mean is at least as large as the observed one; one more is counted in both places, so the result is never 0.
pub(crate) fn sign_flip(differences: &[f64]) -> f64 {
    let observed: f64 = differences.iter().sum();
    if differences.is_empty() || !observed.is_finite() || observed <= 0.0 {
        return 1.0;
    }
    // The sum of the observed order and of a drawn one are rounded differently.
    let bar = observed * (1.0 - 1e-12);
    let mut random = Random::seeded();
    let mut as_large = 1_u32;
    for _ in 0..DRAWS {
        let mut sum = 0.0;
        for block in differences.chunks(64) {
            let mut signs = random.next();
            for difference in block {
                sum += if signs & 1 == 1 { *difference } else { -difference };
                signs >>= 1;
            }
        }
        as_large += u32::from(sum >= bar);
    }
    f64::from(as_large) / f64::from(DRAWS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_in_every_block_is_no_accident() {
        assert!(sign_flip(&[0.5; 30]) < 1e-3);
    }

    #[test]
    fn a_few_blocks_prove_little_however_large_the_difference() {
        let p = sign_flip(&[1.0; 4]);
        assert!((p - 1.0 / 16.0).abs() < 0.01, "{p}");
    }

    #[test]
    fn differences_that_cancel_prove_nothing() {
        let blocks: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 0.3 } else { -0.3 }).collect();
        assert!(sign_flip(&blocks) > 0.3);
    }
}
