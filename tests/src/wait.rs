//! Waiting for a condition, with a bound and without guessing how long things take.

use std::time::Duration;

use anyhow::{Result, bail};

/// Looks again until the condition holds, 20 s at most; the error of the last look is told where it never does.
pub async fn until(what: &str, mut look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let mut last = None;
    for _ in 0..400 {
        match look().await {
            Ok(true) => return Ok(()),
            Ok(false) => last = None,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    match last {
        Some(error) => Err(error.context(format!("not within 20 s: {what}"))),
        None => bail!("not within 20 s: {what}"),
    }
}
