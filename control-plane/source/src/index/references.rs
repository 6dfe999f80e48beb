use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use byrnie_model::{ObjectRef, Place, Service, ServiceName};

use crate::findings::{Finding, Severity};

/// What objects say of Services, and what is to be told where there is no such Service. Routes are not among them:
/// their status tells of their backends.
#[derive(Default)]
pub struct References {
    by_object: BTreeMap<ObjectRef, (Option<Arc<Place>>, Vec<Reference>)>,
    by_service: HashMap<ServiceName, BTreeSet<ObjectRef>>,
    stale: BTreeSet<ObjectRef>,
    findings: BTreeMap<ObjectRef, Vec<Finding>>,
}

/// A Service that a field of an object names.
pub struct Reference {
    pub service: ServiceName,
    pub port: Option<u16>,
    pub field: &'static str,
}

impl References {
    /// An object names these Services and no others.
    pub fn put(&mut self, object: &ObjectRef, place: Option<Arc<Place>>, references: Vec<Reference>) {
        self.delete(object);
        if references.is_empty() {
            return;
        }
        for reference in &references {
            self.by_service.entry(reference.service.clone()).or_default().insert(object.clone());
        }
        self.stale.insert(object.clone());
        self.by_object.insert(object.clone(), (place, references));
    }

    /// An object is gone.
    pub fn delete(&mut self, object: &ObjectRef) {
        self.findings.remove(object);
        let Some((_, references)) = self.by_object.remove(object) else { return };
        for reference in references {
            if let Some(objects) = self.by_service.get_mut(&reference.service) {
                objects.remove(object);
                if objects.is_empty() {
                    self.by_service.remove(&reference.service);
                }
            }
        }
    }

    /// A Service came, changed or went.
    pub fn touch(&mut self, service: &ServiceName) {
        self.stale.extend(self.by_service.get(service).into_iter().flatten().cloned());
    }

    /// What is to be told now.
    pub fn findings<'a>(&mut self, service: impl Fn(&ServiceName) -> Option<&'a Service>) -> Vec<Finding> {
        for object in std::mem::take(&mut self.stale) {
            let Some((place, references)) = self.by_object.get(&object) else { continue };
            let tell = |reference: &Reference| {
                let message = match (service(&reference.service), reference.port) {
                    (None, _) => format!("there is no Service {}", reference.service),
                    (Some(service), Some(port)) if service.port(port).is_none() => {
                        let ports: Vec<_> = service.ports.iter().map(|port| port.number.to_string()).collect();
                        let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
                        format!("Service {} has no TCP port {port}; it has {ports}", reference.service)
                    }
                    _ => return None,
                };
                Some(Finding {
                    place: place.as_deref().cloned(),
                    column: None,
                    severity: Severity::Warning,
                    object: Some(object.clone()),
                    field: Some(reference.field.to_owned()),
                    message,
                })
            };
            let findings: Vec<_> = references.iter().filter_map(tell).collect();
            match findings.is_empty() {
                true => drop(self.findings.remove(&object)),
                false => drop(self.findings.insert(object, findings)),
            }
        }
        self.findings.values().flatten().cloned().collect()
    }
}
