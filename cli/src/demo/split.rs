//! The split of cart: what the route wants, what came, and whether chance explains the difference.

use saphyr::{LoadableYamlNode, Yaml};

/// The versions that the demo runs.
pub const VERSIONS: [&str; 2] = ["cart-v1", "cart-v2"];

/// The share of `cart-v2` that the route asks for, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted(f64);

/// Answers by version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// From cart-v1.
    pub v1: u64,
    /// From cart-v2.
    pub v2: u64,
}

/// Fewer answers say nothing.
const LEAST_SAMPLE: u64 = 50;
/// Standard deviations that chance exceeds once in about 16,000 runs.
const TOLERANCE: f64 = 4.0;

impl Wanted {
    /// Reads the route. `None` where it is not one rule over the two versions: such a route is no split to be judged.
    pub fn read(route: &str) -> Option<Self> {
        let documents = Yaml::load_from_str(route).ok()?;
        let [document] = documents.as_slice() else { return None };
        let rules = document.as_mapping_get("spec")?.as_mapping_get("rules")?.as_sequence()?;
        let [rule] = rules.as_slice() else { return None };
        if rule.as_mapping_get("matches").is_some() {
            return None;
        }
        let mut weights = [0_u64; 2];
        for backend in rule.as_mapping_get("backendRefs")?.as_sequence()? {
            let name = backend.as_mapping_get("name")?.as_str()?;
            let version = VERSIONS.iter().position(|version| *version == name)?;
            // Gateway API: a weight that is not there is 1.
            let weight = backend.as_mapping_get("weight").map_or(Some(1), Yaml::as_integer)?;
            weights[version] = weights[version].saturating_add(u64::try_from(weight).ok()?);
        }
        let sum = weights[0].checked_add(weights[1]).filter(|sum| *sum > 0)?;
        Some(Self(weights[1] as f64 / sum as f64))
    }

    /// Percent of cart-v1 and of cart-v2.
    pub fn percent(self) -> [f64; 2] {
        [100.0 * (1.0 - self.0), 100.0 * self.0]
    }

    /// Whether the sample is one that such a split yields; `None` where it is too small to say.
    pub fn explains(self, seen: Seen) -> Option<bool> {
        let sum = seen.sum();
        if sum < LEAST_SAMPLE {
            return None;
        }
        let deviation = (sum as f64 * self.0 * (1.0 - self.0)).sqrt();
        // One more, since counts are whole and a split of 100/0 has no deviation at all.
        Some((seen.v2 as f64 - sum as f64 * self.0).abs() <= TOLERANCE * deviation + 1.0)
    }
}

impl Seen {
    /// All answers.
    pub fn sum(self) -> u64 {
        self.v1 + self.v2
    }

    /// Percent of cart-v1 and of cart-v2; `None` without answers.
    pub fn percent(self) -> Option<[f64; 2]> {
        let sum = self.sum();
        (sum > 0).then(|| [self.v1, self.v2].map(|count| 100.0 * count as f64 / sum as f64))
    }

    /// The later of two counts of the same answers.
    pub fn later(self, other: Self) -> Self {
        Self { v1: self.v1.max(other.v1), v2: self.v2.max(other.v2) }
    }

    /// What came since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { v1: self.v1.saturating_sub(earlier.v1), v2: self.v2.saturating_sub(earlier.v2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = include_str!("mesh/cart-route.yaml");

    #[test]
    fn the_route_of_the_demo_asks_for_90_to_10() {
        let percent = Wanted::read(ROUTE).unwrap().percent();
        assert!((percent[0] - 90.0).abs() < 1e-9 && (percent[1] - 10.0).abs() < 1e-9, "{percent:?}");
    }

    #[test]
    fn an_edited_weight_is_read_and_a_missing_one_is_1() {
        assert_eq!(Wanted::read(&ROUTE.replace("weight: 90", "weight: 10")), Some(Wanted(0.5)));
        let bare = ROUTE.replace("          weight: 90\n", "").replace("          weight: 10\n", "");
        assert_eq!(Wanted::read(&bare), Some(Wanted(0.5)));
    }

    #[test]
    fn a_route_that_is_more_than_a_split_is_not_judged() {
        assert_eq!(Wanted::read(&ROUTE.replace("name: cart-v2", "name: catalog")), None);
        assert_eq!(Wanted::read("half: [written"), None);
        let matched = ROUTE.replace("    - backendRefs:", "    - matches: [{path: {value: /}}]\n      backendRefs:");
        assert_eq!(Wanted::read(&matched), None);
    }

    #[test]
    fn chance_is_forgiven_and_a_wrong_split_is_not() {
        let wanted = Wanted(0.1);
        assert_eq!(wanted.explains(Seen { v1: 45, v2: 0 }), None, "too few to say");
        assert_eq!(wanted.explains(Seen { v1: 715, v2: 85 }), Some(true));
        assert_eq!(wanted.explains(Seen { v1: 400, v2: 400 }), Some(false));
        assert_eq!(wanted.explains(Seen { v1: 800, v2: 0 }), Some(false));
        assert_eq!(Wanted(0.0).explains(Seen { v1: 800, v2: 3 }), Some(false), "100/0 leaves no room");
    }
}
