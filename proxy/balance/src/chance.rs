//! Chance that can be repeated, for tests.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Whether a count fits a probability: within 5 standard deviations of its expectation.
pub fn fits(count: usize, tries: usize, probability: f64) -> bool {
    let (count, tries) = (count as f64, tries as f64);
    (count - tries * probability).abs() <= 5.0 * (tries * probability * (1.0 - probability)).sqrt()
}
