//! Applications that do what a script says and remember what they were asked.

mod http1;
mod http2;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use crate::message::{End, Head, Headers, Received, headers};

/// What an application does with a request: `(its head, how many came before it)`.
type Answers = Arc<dyn Fn(&Head, usize) -> Script + Send + Sync>;
type Serves = Arc<dyn Fn(TcpStream, Log) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// An application by what it speaks.
#[derive(Clone)]
pub enum App {
    Http1(Answers),
    Http2(Answers),
    Tcp(Serves),
    /// Nobody listens.
    Absent,
}

/// What an application does with one request.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Without reading the request's body before.
    early: bool,
    /// A body without a length, ended by the end of the connection (HTTP/1).
    until_close: bool,
    acts: Vec<Act>,
}

#[derive(Clone, Debug)]
enum Act {
    Interim(u16, Headers),
    Head(u16, Headers),
    Data(Bytes),
    Pause(Duration),
    /// The request's body, as it comes.
    Echo,
    /// The request's whole body, once it is there.
    Back,
    Trailers(Headers),
    /// RST_STREAM with this reason, or a TCP reset.
    Reset(h2::Reason),
    /// The end of the connection.
    Close,
    /// Nothing more, ever.
    Hang,
}

/// A running application; it stops when this is dropped.
pub struct Backend {
    _tasks: JoinSet<()>,
}

/// What the applications of a scenario were asked.
#[derive(Clone)]
pub struct Log {
    by: String,
    shared: Arc<Shared>,
}

struct Shared {
    entries: Mutex<(usize, BTreeMap<usize, Received>)>,
    running: watch::Sender<usize>,
}

/// One request while it runs.
struct Entry {
    id: usize,
    log: Log,
    is_ended: bool,
}

/// HTTP/1 that answers as told.
pub fn http1(answers: impl Fn(&Head, usize) -> Script + Send + Sync + 'static) -> App {
    App::Http1(Arc::new(answers))
}

/// HTTP/2 that answers as told.
pub fn http2(answers: impl Fn(&Head, usize) -> Script + Send + Sync + 'static) -> App {
    App::Http2(Arc::new(answers))
}

/// HTTP/1 that answers with a name.
pub fn named(name: &'static str) -> App {
    http1(move |_, _| answer(200, name))
}

/// Bytes.
pub fn tcp<F>(serves: impl Fn(TcpStream, Log) -> F + Send + Sync + 'static) -> App
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    App::Tcp(Arc::new(move |stream, log| Box::pin(serves(stream, log))))
}

/// An answer with a body.
pub fn answer(status: u16, body: impl Into<Bytes>) -> Script {
    Script::head(status).data(body)
}

impl App {
    /// Listens and serves.
    pub async fn start(self, address: SocketAddr, log: Log) -> Result<Backend> {
        let mut tasks = JoinSet::new();
        let counter = Arc::new(AtomicUsize::new(0));
        if matches!(self, Self::Absent) {
            return Ok(Backend { _tasks: tasks });
        }
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address}"))?;
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let (app, log, counter) = (self.clone(), log.clone(), Arc::clone(&counter));
                connections.spawn(async move {
                    match app {
                        Self::Http1(answers) => http1::serve(stream, answers, log, counter).await,
                        Self::Http2(answers) => http2::serve(stream, answers, log, counter).await,
                        // A connection that breaks is what some scenarios are about.
                        Self::Tcp(serves) => drop(serves(stream, log).await),
                        Self::Absent => {}
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Backend { _tasks: tasks })
    }
}

impl Script {
    /// A head of an answer, to which acts are added.
    pub fn head(status: u16) -> Self {
        Self { acts: vec![Act::Head(status, Vec::new())], ..Self::default() }
    }

    /// No head of an answer, to which acts are added.
    pub fn silent() -> Self {
        Self::default()
    }

    /// A header more, of the head that was added last.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(Act::Head(_, headers)) = self.acts.iter_mut().rev().find(|act| matches!(act, Act::Head(..))) {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// An interim answer before all else.
    pub fn interim(mut self, status: u16, list: &[(&str, &str)]) -> Self {
        self.acts.insert(0, Act::Interim(status, headers(list)));
        self
    }

    /// A pause before all else.
    pub fn after(mut self, pause: Duration) -> Self {
        self.acts.insert(0, Act::Pause(pause));
        self
    }

    pub fn data(self, body: impl Into<Bytes>) -> Self {
        match body.into() {
            body if body.is_empty() => self,
            body => self.act(Act::Data(body)),
        }
    }

    pub fn pause(self, pause: Duration) -> Self {
        self.act(Act::Pause(pause))
    }

    /// The request's body as it comes.
    pub fn echo(mut self) -> Self {
        self.early = true;
        self.act(Act::Echo)
    }

    /// The request's whole body, once it is there.
    pub fn back(self) -> Self {
        self.act(Act::Back)
    }

    pub fn trailers(self, list: &[(&str, &str)]) -> Self {
        self.act(Act::Trailers(headers(list)))
    }

    /// A reset of the connection (HTTP/1) or of the stream.
    pub fn reset(self, reason: h2::Reason) -> Self {
        self.act(Act::Reset(reason))
    }

    /// The end of the connection.
    pub fn close(self) -> Self {
        self.act(Act::Close)
    }

    pub fn hang(self) -> Self {
        self.act(Act::Hang)
    }

    /// Without reading the request's body before.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// A body that the end of the connection ends.
    pub fn until_close(mut self) -> Self {
        self.until_close = true;
        self.act(Act::Close)
    }

    fn act(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }
}

impl Log {
    pub fn new() -> Self {
        let (running, _) = watch::channel(0);
        Self { by: String::new(), shared: Arc::new(Shared { entries: Mutex::default(), running }) }
    }

    /// The same log, as an endpoint writes it.
    pub fn of(&self, by: String) -> Self {
        Self { by, shared: Arc::clone(&self.shared) }
    }

    /// Writes down bytes, for applications that know no requests.
    pub fn bytes(&self, what: &str, bytes: &[u8], end: End) {
        let head = Head { method: what.to_owned(), ..Head::default() };
        let mut entry = self.begin(head);
        entry.update(|received| received.body = bytes.to_vec());
        entry.end(end);
    }

    /// What was asked since the last call, once all of it has ended.
    pub async fn take(&self) -> Vec<Received> {
        let mut running = self.shared.running.subscribe();
        // Who still runs after this is told as running.
        drop(timeout(Duration::from_secs(5), running.wait_for(|running| *running == 0)).await);
        let mut entries = self.shared.entries.lock().expect("no holder panics");
        std::mem::take(&mut entries.1).into_values().collect()
    }

    /// Waits until so many requests were seen since the last [`Log::take`].
    pub async fn until_asked(&self, times: usize) -> Result<()> {
        byrnie_tests::wait::until(&format!("the applications are asked {times} times"), async || {
            Ok(self.shared.entries.lock().expect("no holder panics").1.len() >= times)
        })
        .await
    }

    fn begin(&self, head: Head) -> Entry {
        self.shared.running.send_modify(|running| *running += 1);
        let mut entries = self.shared.entries.lock().expect("no holder panics");
        let id = entries.0;
        entries.0 += 1;
        let received = Received { by: self.by.clone(), head, body: Vec::new(), trailers: Vec::new(), end: None };
        entries.1.insert(id, received);
        Entry { id, log: self.clone(), is_ended: false }
    }
}

impl Entry {
    fn update(&self, change: impl FnOnce(&mut Received)) {
        let mut entries = self.log.shared.entries.lock().expect("no holder panics");
        if let Some(received) = entries.1.get_mut(&self.id) {
            change(received);
        }
    }

    fn body(&self) -> Bytes {
        let entries = self.log.shared.entries.lock().expect("no holder panics");
        entries.1.get(&self.id).map(|received| Bytes::copy_from_slice(&received.body)).unwrap_or_default()
    }

    fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.is_ended, true) {
            self.update(|received| received.end = Some(end));
            self.log.shared.running.send_modify(|running| *running -= 1);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(End::Closed);
    }
}

fn next(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed)
}
