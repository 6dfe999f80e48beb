use std::{sync::Arc, time::Duration};

use byrnie_ads::{Hub, Tallies};
use byrnie_model::World;
use byrnie_snapshot::Snapshot;
use tokio::time::sleep;

use super::{Book, objects};

/// How long what happens is gathered: an object is told of at most four times a second.
const TICK: Duration = Duration::from_millis(250);
/// How many subscriptions are looked at in one go, some 10 ms of work.
const AT_ONCE: usize = 20_000;
/// How long others get between two goes.
const PAUSE: Duration = Duration::from_millis(50);

/// Counts how the clients of `hub` stand to the objects in force, for ever. `present` gives a World and the snapshot that
/// was built from it; it must have been told before the hub is. At rest this does nothing.
pub async fn count(hub: Arc<Hub>, book: Arc<Book>, present: impl Fn() -> (World, Snapshot) + Send) {
    let mut tallies = Tallies::new(hub);
    let mut seen = World::default();
    loop {
        let (world, snapshot) = present();
        tallies.advance(&snapshot, objects::changed(&seen, &world));
        seen = world;
        loop {
            let looked = tallies.look(AT_ONCE);
            book.write(looked.changed, looked.done);
            if looked.done {
                break;
            }
            sleep(PAUSE).await;
        }
        sleep(TICK).await;
        tallies.moved().await;
    }
}
