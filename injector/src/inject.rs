//! The Pod with its sidecar.

use serde_json::{Value, json};

use crate::{
    annotation::{INJECTED, STATUS},
    choices::Choices,
    lifecycle,
    merge::{self, Origin},
    pod,
    probes::Originals,
    refusal::Refusal,
    scrape,
    settings::{ProxyKind, Settings},
    taken,
    template::{self, AGENT, Application, INIT, PROXY},
};

/// The Pod with all that is ours, whether it had it before or not: injecting twice is injecting once.
pub fn injected(pod: &Value, settings: &Settings) -> Result<Value, Refusal> {
    let choices = Choices::read(pod, settings)?;
    let is_ours = pod::is_injected(pod);
    let mut pod = pod.clone();
    let shape = |field: &str| Refusal::Shape { field: field.to_owned(), wanted: "an object" };
    let root = pod.as_object_mut().ok_or_else(|| shape("the Pod"))?;
    let spec = pod::object(root, "spec", "spec")?;
    let mut containers = pod::take_list(spec, "containers", "spec.containers")?;
    let mut before = pod::take_list(spec, "initContainers", "spec.initContainers")?;
    let mut volumes = pod::take_list(spec, "volumes", "spec.volumes")?;

    let own = Own::take(&mut containers, &mut before, is_ours)?;
    taken::check(spec.get("securityContext"), &containers, &before)?;
    let mut originals = Originals::of(own.told());
    if settings.rewrite_probes {
        containers.iter_mut().chain(&mut before).for_each(|container| originals.rewrite(container));
    }
    lifecycle::delay_end(&mut containers, choices.pre_stop_delay, spec)?;
    template::volumes().into_iter().try_for_each(|volume| hold(&mut volumes, volume, is_ours))?;

    let metadata = pod::object(root, "metadata", "metadata")?;
    let annotations = pod::object(metadata, "annotations", "metadata.annotations")?;
    annotations.insert(STATUS.to_owned(), json!(INJECTED));
    let scrape = match choices.merges_metrics {
        true => scrape::lead(annotations, &containers, own.told()),
        false => None,
    };
    let application = Application { probes: originals.into_text(), scrape };
    before.splice(..0, own.over(settings, &choices, application)?);

    let spec = pod::object(root, "spec", "spec")?;
    spec.insert("containers".to_owned(), containers.into());
    spec.insert("initContainers".to_owned(), before.into());
    spec.insert("volumes".to_owned(), volumes.into());
    Ok(pod)
}

/// The containers of our names that stand in the Pod.
struct Own {
    is_ours: bool,
    init: Option<Value>,
    agent: Option<Value>,
    /// With the list that it stood in.
    proxy: Option<(&'static str, Value)>,
}

impl Own {
    fn take(containers: &mut Vec<Value>, before: &mut Vec<Value>, is_ours: bool) -> Result<Self, Refusal> {
        let mut added = |name: &str| {
            let (added, misplaced) = (take(before, name), take(containers, name));
            let reserved = |list| Refusal::Reserved { field: format!("spec.{list}[{name}]") };
            if !misplaced.is_empty() {
                return Err(reserved("containers"));
            }
            if added.len() > usize::from(is_ours) {
                return Err(reserved("initContainers"));
            }
            Ok(added.into_iter().next())
        };
        let (init, agent) = (added(INIT)?, added(AGENT)?);
        let own = take(containers, PROXY).into_iter().map(|proxy| ("containers", proxy));
        let mut own = own.chain(take(before, PROXY).into_iter().map(|proxy| ("initContainers", proxy)));
        let proxy = own.next();
        if own.next().is_some() {
            return Err(Refusal::Twice);
        }
        Ok(Self { is_ours, init, agent, proxy })
    }

    /// The container that was told of the application.
    fn told(&self) -> Option<&Value> {
        let proxy = self.proxy.as_ref().map(|(_, proxy)| proxy).filter(|_| self.is_ours);
        self.agent.as_ref().or(proxy)
    }

    /// The containers that are added, in their order.
    fn over(self, settings: &Settings, choices: &Choices, application: Application) -> Result<Vec<Value>, Refusal> {
        let had = if self.agent.is_some() { ProxyKind::Envoy } else { ProxyKind::Micro };
        let (agent, proxy) = match choices.proxy {
            ProxyKind::Micro => (None, template::micro(settings, choices, application)),
            ProxyKind::Envoy => (Some(template::agent(settings, application)), template::envoy(settings, choices)),
        };
        let mut added = Vec::from_iter(agent.map(|agent| merge::alone(&agent, &self.agent.unwrap_or_default())));
        let (list, own) = self.proxy.unwrap_or_default();
        let place = format!("spec.{list}[{PROXY}]");
        added.push(match self.is_ours {
            // What was added for the other kind says nothing of this one.
            true if had != choices.proxy => proxy,
            true => merge::over(&proxy, own, Origin::Earlier { settings })?,
            false => merge::over(&proxy, own, Origin::Author { settings, place: &place })?,
        });
        added.push(merge::alone(&template::init(settings, choices), &self.init.unwrap_or_default()));
        Ok(added)
    }
}

fn take(list: &mut Vec<Value>, name: &str) -> Vec<Value> {
    list.extract_if(.., |one| pod::name(one) == name).collect()
}

/// Has the volume in the list; another of its name is there by mistake unless it was ours.
fn hold(volumes: &mut Vec<Value>, volume: Value, is_ours: bool) -> Result<(), Refusal> {
    let name = pod::name(&volume).to_owned();
    match volumes.iter_mut().find(|one| pod::name(one) == name) {
        None => volumes.push(volume),
        Some(one) if *one == volume => {}
        Some(one) if is_ours => *one = volume,
        Some(_) => return Err(Refusal::Reserved { field: format!("spec.volumes[{name}]") }),
    }
    Ok(())
}
