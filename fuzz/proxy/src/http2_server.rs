//! Any bytes, and frames that are almost right, into a server of HTTP/2 whose owner does anything at any time.
//!
//! What must hold is said at [`http2_owner`](super::http2_owner). Besides: without commands, how the input is cut makes no
//! difference.

use byrnie_http2::{Connection, Role};

use super::http2_frames::{beginning, config, next};
use super::http2_owner::Owner;
use super::tape::Tape;

/// Longer scripts take longer, and show nothing more.
const MOST_STEPS: usize = 200;

/// Plays `data` as a script: the configuration, then what the client sends and the owner does.
pub fn run(data: &[u8]) {
    let mut tape = Tape(data);
    let config = config(&mut tape);
    play(Role::Server, &mut tape, &|| Owner::new(Connection::server(config)));
}

/// Frames and commands in turn, then the frames alone, whole and in pieces.
pub fn play(role: Role, tape: &mut Tape<'_>, make: &dyn Fn() -> Owner) {
    let mut owner = make();
    // Half of the scripts begin as a connection begins.
    let mut sent = if tape.byte() & 1 == 0 { beginning(role, tape) } else { Vec::new() };
    owner.receive(&sent);
    for _ in 0..MOST_STEPS {
        if tape.is_at_end() {
            break;
        }
        match tape.below(8) {
            0..4 => {
                let bytes = next(role, tape);
                let cut = tape.number() % (bytes.len() + 1);
                owner.receive(&bytes[..cut]);
                if tape.byte() & 3 == 0 {
                    owner.command(tape);
                }
                owner.receive(&bytes[cut..]);
                sent.extend(bytes);
            }
            _ => owner.command(tape),
        }
    }
    check_cuts(&sent, make);
}

fn check_cuts(sent: &[u8], make: &dyn Fn() -> Owner) {
    let mut whole = make();
    whole.receive(sent);
    for length in [1, 7, 61] {
        // One byte at a time is slow, and long inputs have nothing more to show by it.
        if length * 500 < sent.len() {
            continue;
        }
        let mut in_pieces = make();
        for piece in sent.chunks(length) {
            in_pieces.receive(piece);
        }
        assert_eq!(whole.transcript, in_pieces.transcript, "other events in pieces of {length}");
        assert_eq!(whole.connection.output(), in_pieces.connection.output(), "other output in pieces of {length}");
    }
}
