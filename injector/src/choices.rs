//! What a Pod says of its sidecar, read once.

use std::{fmt, str::FromStr};

use byrnie_init::{Cidr, Ids, Interface, List, Ports, ValueError};
use byrnie_model::{LOG_LEVELS, is_log_filter, is_quantity};
use serde_json::Value;

use crate::{
    annotation::{Annotation, EXPLICIT, INJECT, OTHERS, PREFIX},
    pod,
    refusal::{Refusal, shown},
    settings::{ProxyKind, Resources, Settings},
};

const LONGEST_DELAY: u16 = 3600;

/// What holds for one Pod: the settings, and over them its annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Options of `byrnie-init`, such as `--exclude-uids=0`.
    pub exclusions: Vec<String>,
    /// Which sidecar.
    pub proxy: ProxyKind,
    /// Of the sidecar, and of the container that redirects.
    pub resources: Resources,
    /// What the sidecar logs: a filter of the micro-proxy, a level of Envoy.
    pub log_level: String,
    /// The sidecar's image.
    pub proxy_image: String,
    /// In seconds; 0 is none.
    pub pre_stop_delay: u16,
    /// Whether who scrapes the application is led to the sidecar.
    pub merges_metrics: bool,
}

/// What a Pod itself says of being injected, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether it wants to be.
    pub inject: bool,
    /// The label or the annotation.
    pub place: Place,
}

/// Where a Pod says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `metadata.labels`
    Label,
    /// `metadata.annotations`
    Annotation,
}

impl Choices {
    /// Reads the Pod's annotations; one with a bad value, a bad name or without permission is refused.
    pub fn read(pod: &Value, settings: &Settings) -> Result<Self, Refusal> {
        check_names(pod)?;
        let found = |annotation: Annotation| match pod::annotation(pod, annotation.name()) {
            Some(_) if !settings.allowed.contains(&annotation) => Err(Refusal::NotAllowed(annotation)),
            value => Ok(value.map(str::trim)),
        };
        let proxy = match found(Annotation::Proxy)? {
            None => settings.proxy,
            Some("micro") => ProxyKind::Micro,
            Some("envoy") => ProxyKind::Envoy,
            Some(other) => return Err(bad(Annotation::Proxy, other, "micro and envoy are accepted")),
        };
        Ok(Self {
            exclusions: exclusions(found)?,
            proxy,
            resources: resources(&settings.resources, found)?,
            log_level: match (proxy, found(Annotation::LogLevel)?) {
                (ProxyKind::Micro, None) => settings.log_level.clone(),
                (ProxyKind::Micro, Some(filter)) => checked(Annotation::LogLevel, filter, is_log_filter, LEVELS)?,
                (ProxyKind::Envoy, None) => level(&settings.log_level).to_owned(),
                (ProxyKind::Envoy, Some(level)) => checked(Annotation::LogLevel, level, is_level, ENVOY_LEVELS)?,
            },
            proxy_image: match found(Annotation::ProxyImage)? {
                None => match proxy {
                    ProxyKind::Micro => settings.proxy_image.clone(),
                    ProxyKind::Envoy => settings.envoy_image.clone(),
                },
                Some(image) => checked(Annotation::ProxyImage, image, is_image, "the name of an image is accepted")?,
            },
            pre_stop_delay: match found(Annotation::PreStopDelay)? {
                None => settings.pre_stop_delay,
                Some(text) => seconds(text).ok_or_else(|| bad(Annotation::PreStopDelay, text, DELAY))?,
            },
            merges_metrics: match found(Annotation::MergeMetrics)? {
                None | Some("true") => true,
                Some("false") => false,
                Some(other) => return Err(bad(Annotation::MergeMetrics, other, "\"true\" and \"false\" are accepted")),
            },
        })
    }
}

impl Wish {
    /// What the Pod says; its label goes before its annotation.
    pub fn of(pod: &Value) -> Result<Option<Self>, Refusal> {
        let label = pod::label(pod, INJECT).map(|value| (Place::Label, value));
        let annotation = || pod::annotation(pod, INJECT).map(|value| (Place::Annotation, value));
        let Some((place, value)) = label.or_else(annotation) else { return Ok(None) };
        match value {
            "true" => Ok(Some(Self { inject: true, place })),
            "false" => Ok(Some(Self { inject: false, place })),
            other => Err(Refusal::Value {
                field: place.to_string(),
                found: other.to_owned(),
                accepted: "\"true\" and \"false\" are accepted",
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
        };
        write!(f, "metadata.{list}[{INJECT}]")
    }
}

fn check_names(pod: &Value) -> Result<(), Refusal> {
    let Some(Value::Object(annotations)) = pod.pointer("/metadata/annotations") else { return Ok(()) };
    let is_known = |name: &str| OTHERS.contains(&name) || EXPLICIT.contains(&name) || Annotation::of(name).is_some();
    match annotations.keys().find(|name| name.starts_with(PREFIX) && !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let accepted: Vec<_> = Annotation::ALL.iter().map(|annotation| annotation.name()).collect();
            Err(Refusal::Unknown { name: name.clone(), accepted: format!("{INJECT}, {}", accepted.join(", ")) })
        }
    }
}

fn bad(annotation: Annotation, found: &str, accepted: &'static str) -> Refusal {
    Refusal::Value { field: format!("metadata.annotations[{annotation}]"), found: found.to_owned(), accepted }
}

fn checked(
    annotation: Annotation,
    value: &str,
    is_good: fn(&str) -> bool,
    accepted: &'static str,
) -> Result<String, Refusal> {
    is_good(value).then(|| value.to_owned()).ok_or_else(|| bad(annotation, value, accepted))
}

/// The options for what is left alone, read here by the types that `byrnie-init` reads them by.
fn exclusions<'a>(found: impl Fn(Annotation) -> Result<Option<&'a str>, Refusal>) -> Result<Vec<String>, Refusal> {
    type Check = fn(&str) -> Result<(), ValueError>;
    let lists: [(Annotation, Check); 5] = [
        (Annotation::ExcludeInboundPorts, is_list::<Ports>),
        (Annotation::ExcludeOutboundPorts, is_list::<Ports>),
        (Annotation::ExcludeOutboundCidrs, is_list::<Cidr>),
        (Annotation::ExcludeUids, is_list::<Ids>),
        (Annotation::ExcludeInterfaces, is_list::<Interface>),
    ];
    let mut options = Vec::new();
    for (annotation, read) in lists {
        let Some(value) = found(annotation)?.filter(|value| !value.is_empty()) else { continue };
        read(value).map_err(|source| Refusal::Exclusion { annotation, source })?;
        // The annotation is called as the option is.
        options.push(format!("--{}={value}", annotation.name().trim_start_matches(PREFIX)));
    }
    Ok(options)
}

fn is_list<T: FromStr<Err = ValueError>>(text: &str) -> Result<(), ValueError> {
    text.parse::<List<T>>().map(drop).map_err(|error| error.with_text(|text| shown(&text).into_owned()))
}

fn resources<'a>(
    settings: &Resources,
    found: impl Fn(Annotation) -> Result<Option<&'a str>, Refusal>,
) -> Result<Resources, Refusal> {
    let mut resources = settings.clone();
    for (annotation, name, is_limit) in [
        (Annotation::ProxyCpu, "cpu", false),
        (Annotation::ProxyMemory, "memory", false),
        (Annotation::ProxyCpuLimit, "cpu", true),
        (Annotation::ProxyMemoryLimit, "memory", true),
    ] {
        let Some(value) = found(annotation)? else { continue };
        let value = checked(annotation, value, is_quantity, "a quantity is accepted, such as 100m or 64Mi")?;
        let list = if is_limit { &mut resources.limits } else { &mut resources.requests };
        list.insert(name.to_owned(), value);
    }
    Ok(resources)
}

const LEVELS: &str = "off, error, warn, info, debug and trace are accepted, and by target as in info,byrnie_xds=debug";

/// Envoy knows no targets of ours.
const ENVOY_LEVELS: &str = "off, error, warn, info, debug and trace are accepted where the sidecar is an Envoy";

/// Envoy has a name of its own for one of them, and knows ours too.
fn is_level(text: &str) -> bool {
    LOG_LEVELS.contains(&text)
}

/// The level of a filter for all that it does not name.
fn level(filter: &str) -> &str {
    filter.split(',').rfind(|part| is_level(part)).unwrap_or("info")
}

fn is_image(text: &str) -> bool {
    !text.is_empty() && text.len() <= 500 && text.bytes().all(|b| b.is_ascii_graphic())
}

const DELAY: &str = "seconds from 0, which is no delay, to 3600 are accepted, such as 5 or 5s";

fn seconds(text: &str) -> Option<u16> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|seconds| is_number && *seconds <= LONGEST_DELAY)
}
