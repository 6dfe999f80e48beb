use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use byrnie_model::{Place, ServiceName};

use super::pods::{Label, matches};
use crate::objects::{Service, meta::StringMap};

/// All Services, found by name and by the Pods that they select.
#[derive(Default)]
pub struct Services {
    by_name: BTreeMap<ServiceName, Placed>,
    /// Those with a selector, each under the first of its labels.
    by_label: HashMap<Label, BTreeSet<ServiceName>>,
}

/// A Service and where it was read.
type Placed = (Arc<Service>, Option<Arc<Place>>);

impl Services {
    /// One Service.
    pub fn get(&self, name: &ServiceName) -> Option<&Service> {
        self.by_name.get(name).map(|(service, _)| &**service)
    }

    /// One Service, and where it was read.
    pub fn placed(&self, name: &ServiceName) -> Option<&Placed> {
        self.by_name.get(name)
    }

    /// Puts or replaces a Service.
    pub fn put(&mut self, service: Arc<Service>, place: Option<Arc<Place>>) {
        let name = service.model.name.clone();
        self.remove(&name);
        if let Some(label) = label(&name, &service.selector) {
            self.by_label.entry(label).or_default().insert(name.clone());
        }
        self.by_name.insert(name, (service, place));
    }

    /// Takes a Service away.
    pub fn remove(&mut self, name: &ServiceName) {
        let Some((service, _)) = self.by_name.remove(name) else { return };
        let Some(label) = label(name, &service.selector) else { return };
        if let Some(names) = self.by_label.get_mut(&label) {
            names.remove(name);
            if names.is_empty() {
                self.by_label.remove(&label);
            }
        }
    }

    /// The Services of a namespace that select Pods with these labels.
    pub fn selecting<'a>(&'a self, namespace: &str, labels: &'a StringMap) -> impl Iterator<Item = &'a Service> {
        let namespace: Arc<str> = namespace.into();
        labels
            .iter()
            .filter_map(move |(key, value)| self.by_label.get(&(namespace.clone(), key.clone(), value.clone())))
            .flatten()
            .filter_map(|name| self.get(name))
            .filter(|service| matches(&service.selector, labels))
    }
}

fn label(name: &ServiceName, selector: &StringMap) -> Option<Label> {
    let (key, value) = selector.first_key_value()?;
    Some((name.namespace().into(), key.clone(), value.clone()))
}
