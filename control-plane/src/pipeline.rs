//! The way of the data: batch -> World -> Snapshot -> streams.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use byrnie_ads::Hub;
use byrnie_identity::TrustDomain;
use byrnie_model::{MeshConfig, ObjectRef, Touched, Update, World};
use byrnie_runtime::shutdown::DrainWatch;
use byrnie_snapshot::Builder;
use byrnie_source::{Batch, Finding, Severity};
use tracing::{debug, error, info, warn};

use crate::{
    current::{Current, State, Unreadable},
    findings,
    source::Source,
};

/// Folds batches into what is in force.
pub struct Pipeline {
    /// Fixed by the state directory for the life of the process.
    trust_domain: TrustDomain,
    world: World,
    builder: Builder,
    current: Current,
    hub: Arc<Hub>,
    of_world: Vec<Finding>,
    unreadable: Arc<BTreeMap<ObjectRef, Unreadable>>,
    meaning: u64,
    /// The trust domain that the objects ask for and cannot have.
    foreign_domain: Option<Finding>,
    reported: BTreeSet<Finding>,
}

impl Pipeline {
    /// Publishes to `hub` and `current`.
    pub fn new(trust_domain: TrustDomain, current: Current, hub: Arc<Hub>) -> Self {
        let (world, builder) = (World::default(), Builder::default());
        Self {
            trust_domain,
            world,
            builder,
            current,
            hub,
            of_world: Vec::new(),
            unreadable: Arc::default(),
            meaning: 0,
            foreign_domain: None,
            reported: BTreeSet::new(),
        }
    }

    /// Follows the source until draining starts.
    pub async fn follow(mut self, mut source: Source, drain: DrainWatch) {
        loop {
            tokio::select! {
                // Cancel-safe: a batch is taken whole or not at all.
                batch = source.next() => self.step(batch),
                () = drain.draining() => return,
            }
        }
    }

    /// Brings one batch into force.
    pub fn step(&mut self, batch: Batch) {
        let start = Instant::now();
        let updates: Vec<_> = batch.updates.into_iter().map(|update| self.keep_trust_domain(update)).collect();
        let (world, touched) = self.world.apply(updates);
        self.world = world.clone();
        let snapshot = self.builder.advance(world.clone(), &touched);
        // Endpoints and workloads come and go all the time and change no object's standing.
        let is_traffic = |touched: &Touched| matches!(touched, Touched::Endpoints(_) | Touched::Workload(_));
        if !touched.iter().all(is_traffic) {
            self.of_world = findings::of_world(&world);
            self.meaning += 1;
        }
        let mut found = batch.findings;
        found.extend(self.foreign_domain.clone());
        let unreadable = unreadable(&found, &batch.unreadable, &world);
        if *self.unreadable != unreadable {
            self.unreadable = Arc::new(unreadable);
            self.meaning += 1;
        }
        let findings: Arc<[Finding]> = findings::merged(&found, &self.of_world).into();
        self.report(&findings);
        self.current.store(State {
            world,
            snapshot: snapshot.clone(),
            findings,
            unreadable: Arc::clone(&self.unreadable),
            meaning: self.meaning,
            built: self.builder.built(),
        });
        if touched.is_empty() {
            return;
        }
        self.hub.publish(snapshot);
        let (took, waited) = (start.elapsed(), batch.changed_at.elapsed());
        debug!(touched = touched.len(), ?took, ?waited, "change in force");
    }

    /// A mesh cannot change its trust domain while its CA speaks for the old one.
    fn keep_trust_domain(&mut self, update: Update) -> Update {
        match update {
            Update::Mesh(mesh) if mesh.trust_domain == self.trust_domain => {
                self.foreign_domain = None;
                Update::Mesh(mesh)
            }
            Update::Mesh(mesh) => {
                self.foreign_domain = Some(Finding {
                    place: mesh.origin.as_ref().and_then(|origin| origin.place.as_deref().cloned()),
                    column: None,
                    severity: Severity::Error,
                    object: mesh.origin.as_ref().map(|origin| origin.object.clone()),
                    field: Some("spec.trustDomain".to_owned()),
                    message: format!(
                        "{:?} is not in force: the keys of the mesh are of {:?}, and another trust domain needs new ones",
                        mesh.trust_domain.as_str(),
                        self.trust_domain.as_str()
                    ),
                });
                let kept = MeshConfig { trust_domain: self.trust_domain.clone(), ..(*mesh).clone() };
                Update::Mesh(Arc::new(kept))
            }
            update => update,
        }
    }

    /// Logs each finding once, when it appears, and when all are gone.
    fn report(&mut self, findings: &[Finding]) {
        let now: BTreeSet<Finding> = findings.iter().cloned().collect();
        for finding in now.difference(&self.reported) {
            match finding.severity {
                Severity::Error => error!(%finding, "configuration"),
                Severity::Warning => warn!(%finding, "configuration"),
                Severity::Note => info!(%finding, "configuration"),
            }
        }
        if now.is_empty() && !self.reported.is_empty() {
            info!("configuration is without findings again");
        }
        self.reported = now;
    }
}

/// What is wrong with each object that cannot be taken as it is. A MeshConfig of another trust domain is in force but for
/// that.
fn unreadable(
    found: &[Finding],
    generations: &BTreeMap<ObjectRef, i64>,
    world: &World,
) -> BTreeMap<ObjectRef, Unreadable> {
    let mut unreadable: BTreeMap<ObjectRef, Unreadable> = BTreeMap::new();
    for finding in found.iter().filter(|finding| finding.severity == Severity::Error) {
        let Some(object) = &finding.object else { continue };
        let of_mesh = || world.mesh().origin.as_ref().filter(|origin| origin.object == *object);
        let generation = generations.get(object).copied().or_else(|| of_mesh().map(|origin| origin.generation));
        let entry = unreadable.entry(object.clone()).or_default();
        entry.generation = generation.unwrap_or_default();
        let field = finding.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        let before = if entry.why.is_empty() { "" } else { "; " };
        entry.why.push_str(&format!("{before}{field}{}", finding.message));
    }
    unreadable
}

#[cfg(test)]
mod tests;
