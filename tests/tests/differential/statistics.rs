//! Whether counts are as chance makes them.

use std::collections::BTreeMap;

/// The probability that a right distribution is called wrong: one in a million for each sample.
const FALSE_ALARM: f64 = 1e-6;

/// How often each outcome was seen.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub counts: BTreeMap<String, u64>,
    /// The probability of each outcome, where it is known.
    pub due: Vec<(String, f64)>,
}

impl Sample {
    pub fn due(due: &[(&str, f64)]) -> Self {
        let due = due.iter().map(|(outcome, share)| ((*outcome).to_owned(), *share)).collect();
        Self { counts: BTreeMap::new(), due }
    }

    pub fn add(&mut self, outcome: impl Into<String>) {
        *self.counts.entry(outcome.into()).or_default() += 1;
    }

    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn of(&self, outcome: &str) -> u64 {
        self.counts.get(outcome).copied().unwrap_or_default()
    }
}

/// Why the counts cannot come from the probabilities that are due, or `None`.
pub fn misses(sample: &Sample) -> Option<String> {
    if sample.due.is_empty() {
        return None;
    }
    if let Some(outcome) = sample.counts.keys().find(|outcome| !sample.due.iter().any(|(due, _)| due == *outcome)) {
        return Some(format!("{outcome} is not due: {:?}", sample.counts));
    }
    let (total, limit) = (sample.total(), FALSE_ALARM / sample.due.len() as f64);
    sample.due.iter().find_map(|(outcome, share)| {
        let seen = sample.of(outcome);
        let chance = tails(seen, total, |successes| binomial(successes, total, *share));
        (chance < limit).then(|| format!("{outcome}: {seen} of {total} where {share} are due (chance {chance:.1e})"))
    })
}

/// Why two samples cannot be of one distribution, or `None`: Fisher's exact test of each outcome against the rest.
pub fn differs(one: &Sample, other: &Sample) -> Option<String> {
    let outcomes: Vec<_> = one.counts.keys().chain(other.counts.keys()).collect();
    let (first, second) = (one.total(), other.total());
    let limit = FALSE_ALARM / outcomes.len().max(1) as f64;
    outcomes.iter().find_map(|outcome| {
        let (seen, both) = (one.of(outcome), one.of(outcome) + other.of(outcome));
        let chance = tails(seen, both.min(first), |successes| hypergeometric(successes, both, first, second));
        (chance < limit).then(|| format!("{outcome}: {seen} of {first} (chance {chance:.1e}): {one:?}"))
    })
}

/// Twice the smaller tail.
fn tails(seen: u64, most: u64, probability: impl Fn(u64) -> f64) -> f64 {
    let below: f64 = (0..=seen).map(&probability).sum();
    let above: f64 = (seen..=most).map(&probability).sum();
    2.0 * below.min(above)
}

fn binomial(successes: u64, total: u64, share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return f64::from(u8::from(successes == if share <= 0.0 { 0 } else { total }));
    }
    let (hits, rest) = (successes as f64, (total - successes) as f64);
    (ln_choose(total, successes) + hits * share.ln() + rest * (1.0 - share).ln()).exp()
}

/// Of `both` successes among `first + second` draws, this many fall to the first.
fn hypergeometric(successes: u64, both: u64, first: u64, second: u64) -> f64 {
    if successes > first || both - successes > second {
        return 0.0;
    }
    (ln_choose(first, successes) + ln_choose(second, both - successes) - ln_choose(first + second, both)).exp()
}

fn ln_choose(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| (2..=n).map(|factor| (factor as f64).ln()).sum::<f64>();
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(counts: &[(&str, u64)], due: &[(&str, f64)]) -> Sample {
        let mut sample = Sample::due(due);
        sample.counts = counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect();
        sample
    }

    #[test]
    fn counts_near_what_is_due_pass_and_those_far_from_it_do_not() {
        let due = [("a", 0.9), ("b", 0.1)];
        assert_eq!(misses(&sample(&[("a", 361), ("b", 39)], &due)), None);
        assert!(misses(&sample(&[("a", 320), ("b", 80)], &due)).is_some());
        assert!(misses(&sample(&[("a", 400)], &due)).is_some(), "none of 400 where 40 are due");
        assert!(misses(&sample(&[("a", 399), ("c", 1)], &due)).is_some(), "an outcome that is not due");
        assert!(misses(&sample(&[("a", 1), ("b", 5)], &[("a", 0.0), ("b", 1.0)])).is_some(), "a weight of 0");
    }

    #[test]
    fn two_samples_of_one_distribution_pass_and_others_do_not() {
        let one = sample(&[("a", 100), ("b", 100)], &[]);
        assert_eq!(differs(&one, &sample(&[("a", 115), ("b", 85)], &[])), None);
        assert!(differs(&one, &sample(&[("a", 160), ("b", 40)], &[])).is_some());
        assert!(differs(&one, &sample(&[("a", 100), ("c", 100)], &[])).is_some());
        assert_eq!(differs(&sample(&[], &[]), &sample(&[], &[])), None);
    }
}
