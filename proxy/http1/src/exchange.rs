//! One request and its response, as far as both have come: what either role may do next.

use crate::{
    body::{Incoming, Piece},
    error::Error,
    head::RequestMethod,
    limits::Limits,
    misuse::Misuse,
};

/// The state of the exchange that a connection is at.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub role: Role,
    pub receiving: Receiving,
    pub sending: Sending,
    pub method: RequestMethod,
    /// The peer speaks HTTP/1.0 (of a server: its client).
    pub old_peer: bool,
    /// The request offers an upgrade.
    pub upgrade: bool,
    /// Of a server: its client waits for `100 Continue` and has sent nothing of the body.
    pub awaits_continue: bool,
    /// No exchange follows this one.
    pub last: bool,
    /// An error or a misuse: what the peer and this side hold for true may differ.
    pub failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// What comes next from the peer.
#[derive(Debug)]
pub(crate) enum Receiving {
    /// Nothing, until this side sends a request.
    Nothing,
    Head,
    Body(Incoming),
    /// The message was read to its end.
    Complete,
    Tunnel,
    /// Nothing any more.
    Closed,
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Nothing: of a server until a request comes, of a client until its caller has one.
    Nothing,
    /// The head of a response.
    Head,
    Sized(u64),
    Chunked,
    UntilClose,
    Tunnel,
    /// The message was sent to its end.
    Complete,
    /// Nothing any more: the message broke off.
    Closed,
}

impl Exchange {
    pub fn new(role: Role) -> Self {
        Self {
            role,
            receiving: if role == Role::Server { Receiving::Head } else { Receiving::Nothing },
            sending: Sending::Nothing,
            method: RequestMethod::Other,
            old_peer: false,
            upgrade: false,
            awaits_continue: false,
            last: false,
            failed: false,
        }
    }

    /// The next piece of the body or of the tunnel.
    #[inline]
    pub fn receive_piece<'b>(&mut self, input: &mut &'b [u8], limits: &Limits) -> Result<Option<Piece<'b>>, Error> {
        match &mut self.receiving {
            Receiving::Body(incoming) => {
                let piece = incoming.next(input, limits)?;
                match piece {
                    Some(Piece::Data(_)) => self.awaits_continue = false,
                    Some(Piece::End) => {
                        self.receiving = Receiving::Complete;
                        self.settle();
                    }
                    Some(Piece::Trailers(_)) | None => {}
                }
                Ok(piece)
            }
            Receiving::Tunnel if !input.is_empty() => Ok(Some(Piece::Data(std::mem::take(input)))),
            _ => Ok(None),
        }
    }

    /// The peer breached the protocol: nothing is read any more. A server may still answer, if it has not begun to. What
    /// was sent to its end stays so.
    #[cold]
    pub fn fail(&mut self) {
        self.failed = true;
        self.last = true;
        self.receiving = Receiving::Closed;
        self.sending = match self.sending {
            Sending::Head => Sending::Head,
            Sending::Complete => Sending::Complete,
            Sending::Nothing if self.role == Role::Server => {
                self.method = RequestMethod::Other;
                self.old_peer = false;
                self.upgrade = false;
                Sending::Head
            }
            _ => Sending::Closed,
        };
    }

    /// The caller broke a message that the peer has a part of: nothing is read or sent any more.
    #[cold]
    pub fn misused(&mut self, misuse: Misuse) -> Misuse {
        self.failed = true;
        self.last = true;
        self.receiving = Receiving::Closed;
        self.sending = Sending::Closed;
        misuse
    }

    /// Both directions become bytes without meaning (RFC 9110 sections 7.8 and 9.3.6); the one that the peer has closed
    /// stays closed.
    pub fn open_tunnel(&mut self) {
        self.last = true;
        self.sending = Sending::Tunnel;
        if !matches!(self.receiving, Receiving::Closed) {
            self.receiving = Receiving::Tunnel;
        }
    }

    /// Whether the peer's message was read to its end. Where the peer has closed its side without a breach, it was.
    pub fn is_received(&self) -> bool {
        match &self.receiving {
            Receiving::Body(incoming) => incoming.is_read(),
            Receiving::Complete => true,
            Receiving::Closed => !self.failed,
            Receiving::Nothing | Receiving::Head | Receiving::Tunnel => false,
        }
    }

    /// RFC 9112 section 9.3: this side's message is complete. A request that a server did not read by then would have
    /// to be read before the next one: it ends the connection.
    pub fn sent(&mut self) {
        self.sending = Sending::Complete;
        if self.role == Role::Server {
            match self.is_received() {
                true if matches!(self.receiving, Receiving::Body(_)) => self.receiving = Receiving::Complete,
                true => {}
                false => self.last = true,
            }
        }
        self.settle();
    }

    /// RFC 9112 section 9.3: when both messages are complete, the connection is free for the next exchange or closed.
    pub fn settle(&mut self) {
        if self.sending != Sending::Complete || !matches!(self.receiving, Receiving::Complete) {
            return;
        }
        if self.last {
            self.receiving = Receiving::Closed;
            return;
        }
        self.sending = Sending::Nothing;
        self.receiving = if self.role == Role::Server { Receiving::Head } else { Receiving::Nothing };
    }

    /// RFC 9112 section 9.6: the connection is of no more use once what was written is sent. A server's is when its
    /// last response is complete, a client's when it has read it, whatever became of the request.
    pub fn must_close(&self) -> bool {
        let open = matches!(self.receiving, Receiving::Tunnel);
        let response_is_complete = match self.role {
            Role::Server => self.sending == Sending::Complete,
            Role::Client => matches!(self.receiving, Receiving::Complete),
        };
        let closed = matches!(self.receiving, Receiving::Closed);
        let over = match self.sending {
            Sending::Tunnel => false,
            Sending::Nothing | Sending::Complete => closed || (response_is_complete && self.last && !open),
            _ => self.role == Role::Client && (closed || (response_is_complete && self.last)),
        };
        self.failed || over
    }
}

#[cfg(test)]
mod tests;
