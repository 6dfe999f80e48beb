//! Active health checks: a task for each endpoint of each cluster that has them. What an answer means and when to ask
//! again is for [`byrnie_balance::Check`] to say; the result is in the hosts, where the workers read it.

mod probe;
mod prober;
mod way;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use byrnie_balance::{Answer, Check, Host, Transition};
use byrnie_config::{Cluster, HealthCheck, UpstreamTls};
use byrnie_runtime::backoff::random;
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tracing::info;

use self::{prober::Prober, way::Way};
use crate::{
    config::{ByAddress, Config, Upstream},
    tls::Contexts,
};

/// All checks that run. They end with this.
pub struct Checks {
    contexts: Arc<Contexts>,
    clusters: HashMap<Arc<str>, Checked>,
    tasks: JoinSet<()>,
    told: Arc<Told>,
}

/// A cluster whose endpoints are checked.
struct Checked {
    upstream: Arc<Upstream>,
    has_identity: bool,
    endpoints: HashMap<SocketAddr, Running>,
}

/// It ends with this.
struct Running {
    plan: Plan,
    task: AbortHandle,
}

/// What a task does; another plan needs another task.
#[derive(Clone)]
struct Plan {
    check: HealthCheck,
    way: Way,
    host: Arc<Host>,
}

/// What the checks tell their owner.
#[derive(Default)]
struct Told {
    /// Hosts that have not been checked once.
    unseen: AtomicUsize,
    news: Notify,
}

impl Checks {
    /// None yet.
    pub fn new(contexts: Arc<Contexts>) -> Self {
        Self { contexts, clusters: HashMap::new(), tasks: JoinSet::new(), told: Arc::default() }
    }

    /// Starts and ends checks as `config` has it. Without an identity endpoints with TLS are left for later: a first
    /// check that could only fail would keep them out until the second.
    pub fn follow(&mut self, config: &Config) {
        while self.tasks.try_join_next().is_some() {}
        let mut before = std::mem::take(&mut self.clusters);
        for (name, upstream) in &config.upstreams {
            let Some(check) = &upstream.cluster.health_check else { continue };
            let checked = before.remove(name);
            let same = |it: &Checked| it.has_identity == config.has_identity && Arc::ptr_eq(&it.upstream, upstream);
            let checked = match checked {
                Some(checked) if same(&checked) => checked,
                changed => {
                    let running = changed.map(|it| it.endpoints).unwrap_or_default();
                    let endpoints = self.follow_endpoints(upstream, check, config.has_identity, running);
                    Checked { upstream: Arc::clone(upstream), has_identity: config.has_identity, endpoints }
                }
            };
            self.clusters.insert(Arc::clone(name), checked);
        }
    }

    fn follow_endpoints(
        &mut self,
        upstream: &Upstream,
        check: &HealthCheck,
        has_identity: bool,
        mut before: HashMap<SocketAddr, Running>,
    ) -> HashMap<SocketAddr, Running> {
        let mut running = HashMap::with_capacity(upstream.hosts.len());
        for (_, endpoint, host) in upstream.hosts.iter() {
            let way = way(&upstream.cluster, check, endpoint);
            if way.tls.is_some() && !has_identity {
                continue;
            }
            let plan = Plan { check: check.clone(), way, host: Arc::clone(host) };
            let kept = before.remove(&endpoint.address).filter(|running| running.plan.is(&plan));
            running.insert(endpoint.address, kept.unwrap_or_else(|| self.start(&upstream.cluster.name, plan)));
        }
        running
    }

    /// Whether every endpoint was checked once.
    pub fn are_settled(&self) -> bool {
        self.told.unseen.load(Relaxed) == 0
    }

    /// Ready when the health of an endpoint changed, or the last one was checked once. Cancel-safe.
    pub async fn news(&self) {
        self.told.news.notified().await;
    }

    fn start(&mut self, cluster: &Arc<str>, plan: Plan) -> Running {
        let first = First::new(&self.told);
        let prober = Prober::new(plan.check.clone(), plan.way.clone(), Arc::clone(&self.contexts));
        let task = self.tasks.spawn(run(Arc::clone(cluster), plan.clone(), prober, first, Arc::clone(&self.told)));
        Running { plan, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.host, &other.host) && self.check == other.check && self.way == other.way
    }
}

/// Until its first result, or its end before that, an endpoint counts as unseen.
struct First(Arc<Told>);

impl First {
    fn new(told: &Arc<Told>) -> Self {
        told.unseen.fetch_add(1, Relaxed);
        Self(Arc::clone(told))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if self.0.unseen.fetch_sub(1, Relaxed) == 1 {
            self.0.news.notify_one();
        }
    }
}

async fn run(cluster: Arc<str>, plan: Plan, mut prober: Prober, first: First, told: Arc<Told>) {
    let Plan { check: HealthCheck { timeout: limit, pace, .. }, way, host } = plan;
    let (mut check, mut first) = (Check::new(), Some(first));
    loop {
        let answer = timeout(limit, prober.ask()).await.unwrap_or(Answer::TimedOut);
        let transition = check.observe(&pace, &host, answer, Instant::now().into_std());
        if transition == Transition::Changed {
            info!(%cluster, endpoint = %way.address, ?answer, health = %host.flags(), "health");
            told.news.notify_one();
        }
        drop(first.take());
        let pause = pace.delay(answer, transition, host.cluster_is_used(), random());
        tokio::select! {
            () = sleep(pause) => {}
            () = prober.idle() => {}
        }
    }
}

/// How a check reaches an endpoint: as requests do, but for what it offers by ALPN.
fn way(cluster: &Cluster, check: &HealthCheck, endpoint: &ByAddress) -> Way {
    let tls = cluster.sockets.of(endpoint.account.as_deref()).map(|tls| match &*check.alpn {
        [] => Arc::clone(tls),
        alpn => Arc::new(UpstreamTls { alpn: alpn.to_vec(), ..UpstreamTls::clone(tls) }),
    });
    let fits = |from: &&IpAddr| from.is_ipv4() == endpoint.address.is_ipv4();
    Way { address: endpoint.address, from: cluster.bind.iter().find(fits).copied(), tls }
}

#[cfg(test)]
mod tests;
