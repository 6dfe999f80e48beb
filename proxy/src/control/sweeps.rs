//! When ejections are looked at again (`OutlierDetection.interval`), cluster by cluster.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tracing::info;

use crate::config::Config;

/// The next sweep of each cluster that ejects.
#[derive(Debug, Default)]
pub struct Sweeps {
    due: HashMap<Arc<str>, Instant>,
}

impl Sweeps {
    /// Clusters that are new are swept one interval from now; those that are gone, or eject no more, never again.
    pub fn follow(&mut self, config: &Config, now: Instant) {
        let ejects = |name: &Arc<str>| config.upstreams.get(name).is_some_and(|it| it.cluster.ejection.is_some());
        self.due.retain(|name, _| ejects(name));
        for (name, upstream) in &config.upstreams {
            let Some(ejection) = &upstream.cluster.ejection else { continue };
            let due = self.due.entry(Arc::clone(name)).or_insert(now + ejection.interval);
            // A shorter interval counts at once.
            *due = (*due).min(now + ejection.interval);
        }
    }

    /// When something is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Sweeps what is due.
    pub fn run(&mut self, config: &Config, now: Instant) {
        for (name, due) in self.due.iter_mut().filter(|(_, due)| **due <= now) {
            let Some(upstream) = config.upstreams.get(name) else { continue };
            let Some(ejection) = &upstream.cluster.ejection else { continue };
            let swept = ejection.sweep(&upstream.hosts, now);
            if swept.returned + swept.ejected > 0 {
                info!(cluster = %name, swept.ejected, swept.returned, swept.spared, "ejections");
            }
            *due = now + ejection.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use byrnie_balance::{Ejection, Outcome};
    use byrnie_config::Cluster;
    use byrnie_xds::Resources;

    use super::*;
    use crate::control::{
        assemble::assemble,
        resources::{cluster, endpoints},
    };

    const SECOND: Duration = Duration::from_secs(1);
    const CART: &str = "shop/cart:80";

    fn ejection() -> Ejection {
        Ejection {
            consecutive_errors: Some(1),
            interval: 10 * SECOND,
            base_time: 30 * SECOND,
            max_time: Ejection::DEFAULT_MAX_TIME,
            max_percent: 100,
            always_one: true,
            failure_share: None,
        }
    }

    fn config(ejection: Option<Ejection>) -> Config {
        let mut resources = Resources::default();
        let cluster = Arc::new(Cluster { ejection, ..cluster(CART) });
        Arc::make_mut(&mut resources.clusters).insert(CART.into(), cluster);
        let endpoints = endpoints(CART, &["10.0.0.1:80".parse().unwrap()]);
        Arc::make_mut(&mut resources.endpoints).insert(CART.into(), endpoints);
        assemble(&Config::default(), &resources, true)
    }

    #[test]
    fn an_ejected_endpoint_returns_at_the_first_sweep_after_its_time() {
        let (config, start, mut sweeps) = (config(Some(ejection())), Instant::now(), Sweeps::default());
        sweeps.follow(&config, start);
        let (_, _, host) = config.upstreams[CART].hosts.iter().next().unwrap();
        ejection().report(host, Outcome::Status(500), start + 5 * SECOND);
        for at in [10, 20, 30] {
            assert_eq!(sweeps.next(), Some(start + at * SECOND));
            sweeps.run(&config, start + at * SECOND);
            assert!(host.is_ejected());
        }
        sweeps.run(&config, start + 40 * SECOND);
        assert!(!host.is_ejected());
    }

    #[test]
    fn only_clusters_that_eject_are_swept_and_at_their_present_pace() {
        let (start, mut sweeps) = (Instant::now(), Sweeps::default());
        sweeps.follow(&config(None), start);
        assert_eq!(sweeps.next(), None);
        sweeps.follow(&config(Some(ejection())), start);
        sweeps.follow(&config(Some(Ejection { interval: 2 * SECOND, ..ejection() })), start + SECOND);
        assert_eq!(sweeps.next(), Some(start + 3 * SECOND));
        sweeps.follow(&config(None), start);
        assert_eq!(sweeps.next(), None);
    }
}
