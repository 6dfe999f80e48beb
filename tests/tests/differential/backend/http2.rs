//! The script over HTTP/2.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::AtomicUsize},
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    server::{Builder, SendResponse},
};
use hyper::{Request, Response};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet, time::sleep};

use super::{Act, Answers, Entry, Log, Script, next};
use crate::message::{End, Head, Headers, list, map};

struct Exchange {
    entry: Entry,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    /// Ends the connection.
    close: mpsc::Sender<()>,
}

/// Serves until either side ends the connection.
pub async fn serve(stream: TcpStream, answers: Answers, log: Log, counter: Arc<AtomicUsize>) {
    let handshake = Builder::new().enable_connect_protocol().handshake(stream);
    let Ok(mut connection) = handshake.await else { return };
    let (close, mut closed) = mpsc::channel(1);
    let mut streams = JoinSet::new();
    loop {
        let (request, respond) = tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok(accepted)) => accepted,
                _ => return,
            },
            _ = closed.recv() => return,
        };
        let (head, body) = seen(request);
        let script = answers(&head, next(&counter));
        let entry = log.begin(head);
        let exchange = Exchange { entry, body, respond, stream: None, close: close.clone() };
        streams.spawn(exchange.run(script));
        while streams.try_join_next().is_some() {}
    }
}

fn seen(request: Request<RecvStream>) -> (Head, RecvStream) {
    let (parts, body) = request.into_parts();
    let head = Head {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: parts.uri.authority().map(ToString::to_string).unwrap_or_default(),
        version: format!("{:?}", parts.version),
        scheme: parts.uri.scheme_str().unwrap_or_default().to_owned(),
        protocol: parts.extensions.get::<h2::ext::Protocol>().map(|word| word.as_str().to_owned()).unwrap_or_default(),
        headers: list(&parts.headers),
    };
    (head, body)
}

impl Exchange {
    async fn run(mut self, script: Script) {
        let end = self.play(script).await.err().unwrap_or(End::Complete);
        self.entry.end(end);
    }

    async fn play(&mut self, script: Script) -> Result<(), End> {
        if !script.early {
            while self.piece().await?.is_some() {}
        }
        for (index, act) in script.acts.iter().enumerate() {
            let is_last = index + 1 == script.acts.len();
            self.act(act, is_last).await?;
        }
        if matches!(script.acts.last(), Some(Act::Echo | Act::Pause(_)))
            && let Some(stream) = &mut self.stream
        {
            stream.send_data(Bytes::new(), true)?;
        }
        while self.piece().await?.is_some() {}
        Ok(())
    }

    async fn act(&mut self, act: &Act, is_last: bool) -> Result<(), End> {
        match act {
            Act::Interim(status, headers) => self.respond.send_informational(head(*status, headers))?,
            Act::Head(status, headers) => {
                self.stream = Some(self.respond.send_response(head(*status, headers), is_last)?);
            }
            Act::Data(bytes) => self.stream()?.send_data(bytes.clone(), is_last)?,
            Act::Pause(pause) => tokio::select! {
                () = sleep(*pause) => {}
                end = self.hang_up() => return Err(end),
            },
            Act::Echo => {
                while let Some(piece) = self.piece().await? {
                    self.stream()?.send_data(piece, false)?;
                }
            }
            Act::Back => {
                let body = self.entry.body();
                self.stream()?.send_data(body, is_last)?;
            }
            Act::Trailers(trailers) => self.stream()?.send_trailers(map(trailers))?,
            Act::Reset(reason) => {
                self.respond.send_reset(*reason);
                return Err(End::Scripted);
            }
            Act::Close => {
                // The end of the connection ends this task too. A full channel: another stream has said so already.
                self.entry.end(End::Scripted);
                let _ = self.close.try_send(());
                // Whoever returns resets the stream, and that might go out before the end.
                std::future::pending::<()>().await;
            }
            Act::Hang => return Err(self.hang_up().await),
        }
        Ok(())
    }

    fn stream(&mut self) -> Result<&mut SendStream<Bytes>, End> {
        self.stream.as_mut().ok_or_else(|| End::Malformed("the script sends a body without a head".to_owned()))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, End> {
        if let Some(piece) = self.body.data().await {
            let piece = piece?;
            self.body.flow_control().release_capacity(piece.len())?;
            self.entry.update(|received| received.body.extend(&piece));
            return Ok(Some(piece));
        }
        if let Some(trailers) = self.body.trailers().await? {
            self.entry.update(|received| received.trailers = list(&trailers));
        }
        Ok(None)
    }

    async fn hang_up(&mut self) -> End {
        let reset = poll_fn(|context| match &mut self.stream {
            Some(stream) => stream.poll_reset(context),
            None => self.respond.poll_reset(context),
        });
        match reset.await {
            Ok(reason) => End::Stream(format!("{reason:?}")),
            Err(error) => error.into(),
        }
    }
}

fn head(status: u16, headers: &Headers) -> Response<()> {
    let mut response = Response::builder().status(status).body(()).expect("a status code of a test is valid");
    *response.headers_mut() = map(headers);
    response
}
