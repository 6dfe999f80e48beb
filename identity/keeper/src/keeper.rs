//! Gets the first certificate and each next one, for as long as the process runs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use byrnie_runtime::backoff::{Backoff, random};
use rcgen::KeyPair;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::{Current, Identity, Source, SourceError, Stored};

/// The first pause after a failure, and the longest.
const BASE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// No certificate is renewed sooner, whatever the control plane says.
const LEAST: Duration = Duration::from_secs(1);
/// A wall clock may jump: it is looked at this often.
const GLANCE: Duration = Duration::from_secs(60);
/// For one try, the file of the token included.
const TRY_LIMIT: Duration = Duration::from_secs(30);

/// Keeps the identity in force.
#[derive(Debug)]
pub struct Keeper {
    source: Source,
    stored: Option<Stored>,
    current: Arc<Current>,
}

impl Keeper {
    /// Has `current` follow what `source` signs. With `stored`, a restart goes on with the last certificate.
    pub fn new(source: Source, stored: Option<Stored>, current: Arc<Current>) -> Self {
        Self { source, stored, current }
    }

    /// Puts the stored identity in force, where there is one that is valid, then asks for a new one, and for the next
    /// when it is due. While none is issued the old one stays. It never ends: the owner drops it.
    pub async fn run(self) {
        self.restore();
        let mut backoff = Backoff::new(BASE, LONGEST);
        loop {
            match self.issue().await {
                Ok((identity, key)) => {
                    backoff.reset();
                    let renew_at = identity.renew_at().min(identity.not_after());
                    self.accept(identity, &key);
                    until(renew_at).await;
                }
                Err(error) => {
                    let pause = backoff.next_delay(random());
                    let left = self.current.load().map(|identity| left(identity.not_after()));
                    warn!(%error, ?pause, valid.for = ?left, "no certificate was issued");
                    sleep(pause).await;
                }
            }
        }
    }

    fn restore(&self) {
        let Some(stored) = &self.stored else { return };
        match stored.load(&self.source.workload, SystemTime::now()) {
            Ok(Some(identity)) => {
                info!(id = %identity.uri(), valid.for = ?left(identity.not_after()), "goes on with the stored certificate");
                self.current.publish(identity);
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "the stored certificate is of no use"),
        }
    }

    async fn issue(&self) -> Result<(Identity, KeyPair), SourceError> {
        match timeout(TRY_LIMIT, self.source.issue()).await {
            Ok(issued) => issued,
            Err(_) => Err(SourceError::Late { address: self.source.address.clone(), limit: TRY_LIMIT }),
        }
    }

    fn accept(&self, identity: Identity, key: &KeyPair) {
        if !identity.is_valid(SystemTime::now()) {
            warn!(id = %identity.uri(), "the new certificate is not valid by this machine's clock");
        }
        if let Some(stored) = &self.stored
            && let Err(error) = stored.save(&self.source.workload, &identity, key)
        {
            warn!(%error, "the certificate was not stored");
        }
        debug!(id = %identity.uri(), valid.for = ?left(identity.not_after()), "a certificate was issued");
        self.current.publish(identity);
    }
}

/// Until `time` by the wall clock, and for [`LEAST`].
async fn until(time: SystemTime) {
    let earliest = Instant::now() + LEAST;
    tokio::time::sleep_until(earliest).await;
    while SystemTime::now() < time {
        sleep(left(time).min(GLANCE)).await;
    }
}

fn left(until: SystemTime) -> Duration {
    Duration::from_secs(until.duration_since(SystemTime::now()).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests;
