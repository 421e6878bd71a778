//! Numbers from samples. All samples of a row are of the same unit; none is ever NaN.

/// What the table shows of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle sample.
    pub median: f64,
    /// 95 of 100 samples are not above it.
    pub p95: f64,
    /// The smallest sample.
    pub min: f64,
}

/// Summarises samples; `None` if there are none.
#[must_use]
pub fn summary(samples: &[f64]) -> Option<Summary> {
    let sorted = sorted(samples);
    let min = sorted.first().copied()?;
    Some(Summary { median: median_of_sorted(&sorted)?, p95: rank(&sorted, 95)?, min })
}

/// The sample that so many of 100 are not above; `None` if there are none.
#[must_use]
pub fn percentile(samples: &[f64], percent: usize) -> Option<f64> {
    rank(&sorted(samples), percent)
}

/// Nearest rank: the ceil(0.95 n)-th of n samples. In whole numbers, so that nothing is rounded.
fn rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The median, over the rounds, of `samples[round] / base[round]`; `None` without a whole round.
///
/// What slows the machine down for a moment slows both sides of a round, so this is steadier than
/// the ratio of two medians.
#[must_use]
pub fn paired_ratio(samples: &[f64], base: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = samples.iter().zip(base).map(|(sample, base)| sample / base).collect();
    median_of_sorted(&sorted(&ratios))
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied()?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(middle.checked_sub(1)?).copied()? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let forty: Vec<f64> = (1..=40).map(f64::from).collect();
        for (samples, median, p95, min) in [
            (&[7.0][..], 7.0, 7.0, 7.0),
            (&[3.0, 1.0][..], 2.0, 3.0, 1.0),
            (&[9.0, 1.0, 5.0][..], 5.0, 9.0, 1.0),
            (&hundred[..], 50.5, 95.0, 1.0),
            (&forty[..], 20.5, 38.0, 1.0),
        ] {
            assert_eq!(summary(samples), Some(Summary { median, p95, min }), "{samples:?}");
        }
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        for (samples, base, want) in [
            (&[2.0, 4.0, 6.0][..], &[1.0, 2.0, 3.0][..], Some(2.0)),
            // The second round was slow for both: the ratio of medians would be 2.0 / 1.0.
            (&[1.5, 30.0, 2.0][..], &[1.0, 20.0, 1.0][..], Some(1.5)),
            // A round that is not whole does not count.
            (&[3.0, 9.0][..], &[1.0][..], Some(3.0)),
            (&[][..], &[1.0][..], None),
        ] {
            assert_eq!(paired_ratio(samples, base), want, "{samples:?} / {base:?}");
        }
    }
}
