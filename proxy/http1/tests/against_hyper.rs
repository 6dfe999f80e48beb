//! Our two roles against those of the crate `hyper`: what one end says is what the other end hears, whatever the framing
//! and the pieces in which bytes travel.
//!
//! `PROPTEST_CASES` asks for more plans than the few that each run tries.

#[path = "against_hyper/ours.rs"]
mod ours;
#[path = "against_hyper/pipe.rs"]
mod pipe;
#[path = "against_hyper/pipelined.rs"]
mod pipelined;
#[path = "against_hyper/plan.rs"]
mod plan;
#[path = "against_hyper/seen.rs"]
mod seen;
#[path = "against_hyper/theirs.rs"]
mod theirs;
#[path = "against_hyper/tunnel.rs"]
mod tunnel;

use proptest::prelude::*;

use ours::Ours;
use pipe::Pipe;
use plan::{Plan, Side};
use theirs::Theirs;

/// Turns without any progress after which a connection counts as stalled.
const STALL: u32 = 200;
/// Turns that no plan needs.
const TURNS: u32 = 400_000;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn our_server_and_hypers_client_hear_what_the_other_says(plan in plan::plans()) {
        run(&plan, Side::Server).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn our_client_and_hypers_server_hear_what_the_other_says(mut plan in plan::plans()) {
        // Our client does not ask for trailers (`TE`), so hyper's server sends none.
        for exchange in &mut plan.exchanges {
            exchange.response.trailers.clear();
        }
        run(&plan, Side::Client).map_err(TestCaseError::fail)?;
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 20_000, ..ProptestConfig::default() }
}

/// Plays the plan with us on `side`.
fn run(plan: &Plan, side: Side) -> Result<(), String> {
    let pipe = Pipe::new(plan.there, plan.back, plan.seed);
    let (mut ours, mut theirs) = match side {
        Side::Client => (Ours::new(plan, side, pipe.client()), Theirs::new(plan, Side::Server, pipe.server())?),
        Side::Server => (Ours::new(plan, side, pipe.server()), Theirs::new(plan, Side::Client, pipe.client())?),
    };
    let mut quiet = 0;
    for turn in 0..TURNS {
        let busy = ours.turn()?;
        theirs.turn()?;
        quiet = if pipe.turn() || busy { 0 } else { quiet + 1 };
        if quiet >= 3 && ours.is_done() && theirs.is_done() {
            break;
        }
        if quiet == STALL {
            return Err(format!(
                "nothing happens from turn {turn} on: ours {}, hyper {}",
                ours.is_done(),
                theirs.is_done()
            ));
        }
    }
    let from = if side == Side::Client { Side::Server } else { Side::Client };
    for (number, (seen, exchange)) in ours.seen.iter().zip(&plan.exchanges).enumerate() {
        seen.check(number, exchange, from)?;
    }
    theirs.check()?;
    ours.check_end()?;
    if theirs.closed == plan.close.is_some() { Ok(()) } else { Err(format!("hyper has closed: {}", theirs.closed)) }
}
