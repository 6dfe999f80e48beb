//! The scenarios: objects, applications and a script of requests each.

mod balancing;
mod bytes;
mod grpc;
mod identity;
mod messages;
mod retries;
mod routing;
mod timeouts;
mod versions;
mod websocket;

use std::{pin::Pin, sync::Arc};

use anyhow::Result;

use crate::{stage::Stage, world::Plan};

type Running = Pin<Box<dyn Future<Output = Result<()>>>>;

pub struct Scenario {
    /// A DNS label: it stands in the names of its Services.
    pub name: &'static str,
    /// Nothing else runs meanwhile.
    pub is_alone: bool,
    pub plan: fn() -> Plan,
    pub script: fn(Arc<Stage>) -> Running,
}

impl Scenario {
    /// Without anything else that runs meanwhile: its answers depend on how soon bytes are read.
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// A text of it, in which `$` stands for its name and a dash.
    pub fn named(&self, text: &str) -> String {
        text.replace('$', &format!("{}-", self.name))
    }
}

/// A scenario of a plan and a script.
macro_rules! scenario {
    ($name:literal, $plan:expr, $script:expr) => {
        $crate::scenarios::Scenario {
            name: $name,
            is_alone: false,
            plan: || $plan,
            script: |stage| Box::pin($script(stage)),
        }
    };
}
pub(crate) use scenario;

/// All of them.
pub fn all() -> Vec<Arc<Scenario>> {
    let all = [
        versions::all(),
        messages::all(),
        websocket::all(),
        grpc::all(),
        routing::all(),
        timeouts::all(),
        retries::all(),
        balancing::all(),
        identity::all(),
        bytes::all(),
    ];
    all.into_iter().flatten().map(Arc::new).collect()
}
