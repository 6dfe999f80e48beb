//! Which hosts take traffic: the healthy, a part of the degraded beside them, or in panic all.
//!
//! Envoy's rules for a single priority (`LoadBalancerBase::recalculatePerPriorityState`, `isHostSetInPanic`).

use crate::hosts::Membership;

/// Percent. Half as many hosts as could take the load are held in reserve: with 5 of 7 healthy, the healthy take all.
/// (`ClusterLoadAssignment.Policy.overprovisioning_factor`, default)
const OVERPROVISIONING: usize = 140;

/// How traffic is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Among all, whatever their health.
    Panic,
    /// This percentage among the healthy, the rest among the degraded.
    Healthy(u8),
}

impl Share {
    /// Hosts apart count neither as hosts nor, since they are unhealthy, as healthy. There is no panic while the
    /// available ones are taken to suffice (5 of 7), even where the threshold is higher, nor where it is 0.
    pub fn of(membership: Membership, panic_threshold: u8) -> Self {
        let Membership { total, healthy, degraded, apart } = membership;
        let counted = total - apart;
        let sufficiency =
            |hosts: usize| (OVERPROVISIONING * hosts).checked_div(counted).map_or(0, |percent| percent.min(100));
        let (of_healthy, of_degraded) = (sufficiency(healthy), sufficiency(degraded));
        let available = (of_healthy + of_degraded).min(100);
        let threshold = usize::from(panic_threshold.min(100));
        // Without any counted host the share is 0, and below every threshold but 0.
        let is_below = 100 * (healthy + degraded) < threshold * counted.max(1);
        if available < 100 && is_below {
            return Self::Panic;
        }
        if available == 0 {
            return Self::Healthy(100);
        }
        let to_healthy = of_healthy * 100 / available;
        let to_degraded = (100 - to_healthy).min(of_degraded * 100 / available);
        // What rounding leaves over goes to the healthy, where there are any.
        let to_healthy = if of_healthy > 0 { 100 - to_degraded } else { to_healthy };
        Self::Healthy(u8::try_from(to_healthy).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(total: usize, healthy: usize, degraded: usize, apart: usize, threshold: u8) -> Share {
        Share::of(Membership { total, healthy, degraded, apart }, threshold)
    }

    #[test]
    fn below_the_threshold_all_are_called() {
        assert_eq!(share(10, 5, 0, 0, 50), Share::Healthy(100));
        assert_eq!(share(10, 4, 0, 0, 50), Share::Panic);
        assert_eq!(share(10, 0, 0, 0, 1), Share::Panic);
        assert_eq!(share(3, 1, 0, 0, 34), Share::Panic);
        assert_eq!(share(3, 1, 0, 0, 33), Share::Healthy(100));
    }

    #[test]
    fn without_a_threshold_there_is_no_panic() {
        assert_eq!(share(10, 0, 0, 0, 0), Share::Healthy(100));
        assert_eq!(share(1000, 1, 0, 0, 0), Share::Healthy(100));
        assert_eq!(share(0, 0, 0, 0, 0), Share::Healthy(100));
    }

    #[test]
    fn enough_healthy_hosts_never_panic() {
        assert_eq!(share(7, 5, 0, 0, 100), Share::Healthy(100));
        assert_eq!(share(7, 4, 0, 0, 100), Share::Panic);
        assert_eq!(share(7, 4, 0, 0, 200), Share::Panic);
    }

    #[test]
    fn hosts_apart_count_neither_way() {
        // One that stays and four that drain: no panic.
        assert_eq!(share(5, 1, 0, 4, 50), Share::Healthy(100));
        assert_eq!(share(5, 1, 0, 0, 50), Share::Panic);
        // None was checked yet: all are called, unless panic is off.
        assert_eq!(share(5, 0, 0, 5, 50), Share::Panic);
        assert_eq!(share(5, 0, 0, 5, 0), Share::Healthy(100));
        assert_eq!(share(0, 0, 0, 0, 50), Share::Panic);
    }

    #[test]
    fn degraded_hosts_fill_what_the_healthy_lack() {
        assert_eq!(share(10, 8, 2, 0, 50), Share::Healthy(100));
        assert_eq!(share(10, 5, 5, 0, 50), Share::Healthy(70));
        assert_eq!(share(10, 0, 10, 0, 50), Share::Healthy(0));
        assert_eq!(share(10, 0, 1, 0, 0), Share::Healthy(0));
        // 14 % and 14 %, scaled to 50 and 50; 42 and 14 to 75 and 25.
        assert_eq!(share(10, 1, 1, 0, 0), Share::Healthy(50));
        assert_eq!(share(10, 3, 1, 0, 0), Share::Healthy(75));
    }
}
