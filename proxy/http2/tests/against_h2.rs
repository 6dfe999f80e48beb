//! Our two roles against those of the crate `h2`: what one end says is what the other end hears, whatever the windows,
//! the pieces in which bytes travel, and who interrupts what.
//!
//! `PROPTEST_CASES` asks for more plans than the few that each run tries.

#[path = "against_h2/ours.rs"]
mod ours;
#[path = "against_h2/pipe.rs"]
mod pipe;
#[path = "against_h2/plan.rs"]
mod plan;
#[path = "against_h2/random.rs"]
mod random;
#[path = "against_h2/seen.rs"]
mod seen;
#[path = "against_h2/theirs.rs"]
mod theirs;

use proptest::prelude::*;

use ours::Ours;
use pipe::Pipe;
use plan::{Plan, Side};
use theirs::Theirs;

/// Turns without any progress after which a connection counts as stalled; longer than any pause in a plan.
const STALL: u32 = 200;
/// Turns that no plan needs.
const TURNS: u32 = 400_000;
/// Heap that a connection without streams may keep after `rest`.
const IDLE_MEMORY: usize = 8 << 10;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn our_server_and_h2s_client_hear_what_the_other_says(plan in random::plans()) {
        run(&plan, Side::Server).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn our_client_and_h2s_server_hear_what_the_other_says(plan in random::plans()) {
        run(&plan, Side::Client).map_err(TestCaseError::fail)?;
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    }
}

/// Plays the plan with us on `side`.
fn run(plan: &Plan, side: Side) -> Result<(), String> {
    let pipe = Pipe::new(plan.there, plan.back, plan.seed);
    let (mut ours, mut theirs) = match side {
        Side::Client => (Ours::new(plan, side, pipe.client()), Theirs::new(plan, Side::Server, pipe.server())),
        Side::Server => (Ours::new(plan, side, pipe.server()), Theirs::new(plan, Side::Client, pipe.client())),
    };
    play(&pipe, &mut ours, &mut theirs)?;
    match side {
        Side::Client => seen::compare(plan, &ours.seen, &theirs.seen)?,
        Side::Server => seen::compare(plan, &theirs.seen, &ours.seen)?,
    }
    if plan.going.is_some_and(|going| going.abrupt.is_some()) {
        return Ok(());
    }
    finish(&pipe, &mut ours, &mut theirs)
}

/// Turns until both ends are done with all exchanges, and all bytes have arrived.
fn play(pipe: &Pipe, ours: &mut Ours<'_>, theirs: &mut Theirs<'_>) -> Result<(), String> {
    let mut quiet = 0;
    for turn in 0..TURNS {
        let moved = [ours.turn(turn)?, theirs.turn(turn)?, pipe.turn()];
        quiet = if moved.contains(&true) { 0 } else { quiet + 1 };
        if quiet >= 2 && ours.is_settled() && theirs.is_settled() {
            return Ok(());
        }
        if quiet == STALL {
            return Err(format!("nothing happens from turn {turn} on\nours: {:?}\nh2: {:?}", ours.seen, theirs.seen));
        }
    }
    Err(format!("not done after {TURNS} turns"))
}

/// The connection without streams: nothing is left of them.
fn finish(pipe: &Pipe, ours: &mut Ours<'_>, theirs: &mut Theirs<'_>) -> Result<(), String> {
    if ours.connection.active_streams() > 0 {
        return Err(format!("{} streams are left", ours.connection.active_streams()));
    }
    if theirs.finished && !ours.connection.output().is_empty() {
        // `h2` went at a GOAWAY without reading what was on its way to streams that it had reset.
        return Ok(());
    }
    ours.connection.rest();
    let memory = ours.connection.memory();
    if memory > IDLE_MEMORY {
        return Err(format!("{memory} octets are kept without a stream"));
    }
    if theirs.finished {
        return Ok(());
    }
    ours.connection.drain();
    still(pipe, ours, theirs)?;
    // `h2` goes at the first GOAWAY, before the PING that comes with it is there.
    if !ours.connection.is_finished() && !theirs.finished {
        return Err("a drained connection is not finished".to_owned());
    }
    theirs.finish();
    still(pipe, ours, theirs)?;
    if theirs.finished { Ok(()) } else { Err("h2 does not see the end".to_owned()) }
}

/// Turns until nothing moves.
fn still(pipe: &Pipe, ours: &mut Ours<'_>, theirs: &mut Theirs<'_>) -> Result<(), String> {
    let mut quiet = 0;
    for turn in TURNS..2 * TURNS {
        let moved = [ours.turn(turn)?, theirs.turn(turn)?, pipe.turn()];
        quiet = if moved.contains(&true) { 0 } else { quiet + 1 };
        if quiet == 3 {
            return Ok(());
        }
    }
    Err(format!("not still after {TURNS} turns"))
}
