//! One endpoint and what it is asked: answers, one at a time, over a connection that is kept where it may be.

use std::{error::Error, future::pending, sync::Arc};

use byrnie_balance::Answer;
use byrnie_config::{HealthCheck, Version};
use tracing::debug;

use super::{
    probe::{Asked, answer},
    way::Way,
};
use crate::{conversation::Conversation, tls::Contexts};

/// Asks one endpoint.
pub struct Prober {
    check: HealthCheck,
    way: Way,
    contexts: Arc<Contexts>,
    kept: Option<Conversation>,
}

impl Prober {
    /// Nothing is connected yet.
    pub fn new(check: HealthCheck, way: Way, contexts: Arc<Contexts>) -> Self {
        Self { check, way, contexts, kept: None }
    }

    /// One check. Where this is dropped before its end, the connection is closed.
    pub async fn ask(&mut self) -> Answer {
        let Some(asked) = Asked::by(&self.check.probe, self.way.tls.is_some()) else {
            return match self.way.connect(&self.contexts).await {
                Ok(_) => Answer::Passed,
                Err(error) => self.unreachable(&error),
            };
        };
        let Asked { version, request } = match asked {
            Ok(asked) => asked,
            Err(error) => return self.unreachable(&error),
        };
        let mut conversation = match self.kept.take().filter(Conversation::is_open) {
            Some(kept) => kept,
            None => match begin(version, &self.way, &self.contexts).await {
                Ok(conversation) => conversation,
                Err(error) => return self.unreachable(&*error),
            },
        };
        let Some(answer) = conversation.ask(request, |response| answer(response, &self.check.probe)).await else {
            return self.unreachable("the connection broke");
        };
        self.kept = Some(conversation).filter(|it| self.check.reuses_connection && it.is_open());
        answer
    }

    fn unreachable(&self, error: &(impl std::fmt::Display + ?Sized)) -> Answer {
        debug!(endpoint = %self.way.address, %error, "check failed");
        Answer::Unreachable
    }

    /// Lets a kept connection go on between checks; never ready. Cancel-safe.
    pub async fn idle(&mut self) {
        match &mut self.kept {
            Some(kept) => kept.drive().await,
            None => pending().await,
        }
    }
}

async fn begin(version: Version, way: &Way, contexts: &Contexts) -> Result<Conversation, Box<dyn Error + Send + Sync>> {
    let stream = way.connect(contexts).await?;
    Ok(Conversation::begin(version, stream).await?)
}
