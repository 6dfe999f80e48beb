//! Streams (RFC 9113 section 5.1): the state of one, and all that are open, by key and by identifier.

use std::collections::VecDeque;

use crate::flow::{Allowed, Granted};

/// Names a stream of one connection to the caller. A key is never used again: after its stream has ended, commands
/// with it are answered with [`Gone`](crate::Refused::Gone), and no other stream is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The place of the stream among those that are open: small, dense, and used again. With it a caller may keep what
    /// belongs to a stream in a slice; compare the whole key before use.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// One stream that has not ended in both directions, or whose DATA the caller still holds.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// What the peer may send next.
    pub(crate) receiving: Phase,
    /// What we may send next.
    pub(crate) sending: Phase,
    pub(crate) granted: Granted,
    pub(crate) allowed: Allowed,
    /// Octets of DATA that the caller was given, or will be, and has not released.
    pub(crate) held: u32,
    /// Octets that the body must still have, by Content-Length (section 8.1.1).
    pub(crate) expected: Option<u64>,
    /// The response has no body, whatever its fields say (RFC 9110 section 6.4.1): to HEAD, with 204 or 304.
    pub(crate) bodiless: bool,
    /// A CONNECT: DATA only once it is answered (section 8.5).
    pub(crate) tunnel: bool,
    pub(crate) interim_responses: u16,
    /// The caller was told that it cannot send, and why it can not.
    pub(crate) blocked: Option<Blocked>,
}

/// How far one direction of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Head,
    Body,
    Done,
}

/// What a stream waits for before it can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// Its own window.
    Window,
    /// The window of the connection; the stream stands in the queue.
    Connection,
    /// Room in the output; the stream stands in the queue.
    Output,
}

/// The streams of a connection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Identifiers in ascending order, as they were opened, each with its slot.
    ids: VecDeque<(u32, u32)>,
    /// Streams that count against the limit of concurrency: not done in both directions.
    active: u32,
    /// Of the stream that was inserted last. Counted for all slots together, so that a slot may be given up.
    generation: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    stream: Option<Stream>,
}

impl Streams {
    /// `stream.id` is above all that were inserted before.
    pub(crate) fn insert(&mut self, stream: Stream) -> Key {
        let id = stream.id;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, stream: None });
                u32::try_from(self.slots.len() - 1).expect("fewer streams than identifiers")
            }
        };
        self.generation = self.generation.wrapping_add(1);
        self.slots[index as usize] = Slot { generation: self.generation, stream: Some(stream) };
        self.ids.push_back((id, index));
        self.active += 1;
        Key { index, generation: self.generation }
    }

    #[inline]
    pub(crate) fn get(&mut self, key: Key) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.stream.as_mut() } else { None }
    }

    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<Key> {
        let at = self.ids.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        let (_, index) = self.ids[at];
        Some(Key { index, generation: self.slots[index as usize].generation })
    }

    /// Takes a stream out; its key is stale from now on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Stream> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let stream = slot.stream.take()?;
        self.free.push(key.index);
        if let Ok(at) = self.ids.binary_search_by_key(&stream.id, |&(id, _)| id) {
            self.ids.remove(at);
        }
        if !stream.is_done() {
            self.active -= 1;
        }
        Some(stream)
    }

    /// A stream is done in both directions, and lingers until its DATA is released.
    pub(crate) fn no_longer_active(&mut self) {
        self.active -= 1;
    }

    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Those that linger included.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The open stream with the highest identifier.
    pub(crate) fn last(&self) -> Option<(u32, Key)> {
        let &(id, index) = self.ids.back()?;
        Some((id, Key { index, generation: self.slots[index as usize].generation }))
    }

    pub(crate) fn each(&mut self, mut act: impl FnMut(Key, &mut Stream)) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let index = u32::try_from(index).expect("fewer streams than identifiers");
            if let Some(stream) = &mut slot.stream {
                act(Key { index, generation: slot.generation }, stream);
            }
        }
    }

    /// Frees the room of streams that have ended, but for slots below an open one.
    pub(crate) fn rest(&mut self) {
        let open = self.slots.iter().rposition(|slot| slot.stream.is_some()).map_or(0, |last| last + 1);
        self.slots.truncate(open);
        self.free.retain(|&index| (index as usize) < open);
        self.free.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.ids.capacity() * size_of::<(u32, u32)>()
    }
}

impl Stream {
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.receiving == Phase::Done && self.sending == Phase::Done
    }
}
