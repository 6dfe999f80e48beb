//! The protocol of one watch, without I/O: what to ask of the API server next, and what its answers mean.
//!
//! ```text
//! Listing -- the whole as a stream, or page by page --> Following -- changes since the last version --> Following
//!    ^                                                      |
//!    +---- the server has forgotten that version (410) -----+
//! ```
//!
//! A list ends with [`Event::Complete`], or begins anew with [`Event::Begin`]: who reads the events replaces what it has
//! as a whole, and has something in force at all times.

use kube::core::{Status, WatchEvent};

use super::document::{Document, Page};

/// What one watch tells, of objects in the form `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<T> {
    /// A list of all objects begins; what was listed before its end counts for nothing.
    Begin,
    /// An object of the list.
    Listed(T),
    /// The list is complete: what it does not hold is gone.
    Complete,
    /// An object is new or changed.
    Put(T),
    /// An object is gone.
    Deleted(T),
    /// The server has no such kind.
    Absent,
    /// The server answers; changes are told from here on.
    Answering,
    /// The server does not answer as it should. What it said last stands.
    Failing(Failure),
}

/// Takes what a watch tells.
pub trait Reader: Send {
    /// The next event; an error ends the watch.
    fn take(&mut self, event: Event<Document>) -> impl Future<Output = Result<(), Closed>> + Send;
}

/// Nobody wants to know any more.
#[derive(Debug)]
pub struct Closed;

/// What to ask the API server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All objects and then all changes, in one stream.
    Stream,
    /// All objects from this token on, as many as fit into a page.
    Page { after: Option<String> },
    /// All changes since this version.
    Changes { since: String },
}

/// Why an answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 404: the server has no such kind.
    #[error("{0}")]
    Unknown(String),
    /// 410: the server has forgotten the version that was asked for.
    #[error("{0}")]
    Expired(String),
    /// 400 or 422: the server does not take the question.
    #[error("{0}")]
    Invalid(String),
    /// Another answer: not allowed, too busy.
    #[error("{0}")]
    Refused(String),
    /// No answer.
    #[error("{0}")]
    Unreachable(String),
}

/// Where a watch stands.
#[derive(Debug)]
pub struct Follow {
    stage: Stage,
    /// Whether the server sends lists as streams; assumed until it says otherwise.
    streams: bool,
}

#[derive(Debug)]
enum Stage {
    Listing,
    Streaming,
    Paging { after: String },
    Following { since: String },
}

/// The bookmark that ends the list at the beginning of a stream carries it.
const LIST_ENDS: &str = "k8s.io/initial-events-end";

impl Default for Follow {
    fn default() -> Self {
        Self { stage: Stage::Listing, streams: true }
    }
}

impl Follow {
    /// What to ask for next.
    pub fn ask(&self) -> Ask {
        match &self.stage {
            Stage::Listing | Stage::Streaming if self.streams => Ask::Stream,
            Stage::Listing | Stage::Streaming => Ask::Page { after: None },
            Stage::Paging { after } => Ask::Page { after: Some(after.clone()) },
            Stage::Following { since } => Ask::Changes { since: since.clone() },
        }
    }

    /// Whether all that is asked for now are changes.
    pub fn is_following(&self) -> bool {
        matches!(self.stage, Stage::Following { .. })
    }

    /// The stream that was asked for has begun.
    pub fn opened(&mut self) -> Event<Document> {
        if self.is_following() {
            return Event::Answering;
        }
        self.stage = Stage::Streaming;
        Event::Begin
    }

    /// The next element of the stream.
    pub fn take(&mut self, event: WatchEvent<Document>) -> Result<Option<Event<Document>>, Failure> {
        match (&mut self.stage, event) {
            (_, WatchEvent::Error(status)) => Err(Failure::from(&*status)),
            (Stage::Following { since }, WatchEvent::Bookmark(bookmark)) => {
                *since = bookmark.metadata.resource_version;
                Ok(None)
            }
            (Stage::Following { since }, WatchEvent::Added(document) | WatchEvent::Modified(document)) => {
                advance(since, &document);
                Ok(Some(Event::Put(document)))
            }
            (Stage::Following { since }, WatchEvent::Deleted(document)) => {
                advance(since, &document);
                Ok(Some(Event::Deleted(document)))
            }
            (stage, WatchEvent::Bookmark(bookmark)) => {
                let is_end = bookmark.metadata.annotations.contains_key(LIST_ENDS);
                if is_end {
                    *stage = Stage::Following { since: bookmark.metadata.resource_version };
                }
                Ok(is_end.then_some(Event::Complete))
            }
            (_, WatchEvent::Added(document) | WatchEvent::Modified(document)) => Ok(Some(Event::Listed(document))),
            (_, WatchEvent::Deleted(_)) => Err(Failure::Expired("a deletion was told within a list".to_owned())),
        }
    }

    /// The page that was asked for.
    pub fn page(&mut self, page: Page) -> Vec<Event<Document>> {
        let mut events = Vec::new();
        if !matches!(self.stage, Stage::Paging { .. }) {
            events.push(Event::Begin);
        }
        self.stage = match page.after() {
            Some(after) => Stage::Paging { after: after.to_owned() },
            None => Stage::Following { since: page.version().to_owned() },
        };
        events.extend(page.into_items().into_iter().map(Event::Listed));
        if self.is_following() {
            events.push(Event::Complete);
        }
        events
    }

    /// The stream has ended, as all do after some minutes.
    pub fn ended(&mut self) {
        if matches!(self.stage, Stage::Streaming) {
            self.stage = Stage::Listing;
        }
    }

    /// There was no answer, or none of use. Whether the next question can be asked at once.
    pub fn failed(&mut self, failure: &Failure) -> bool {
        let asked_for_stream = matches!(self.ask(), Ask::Stream);
        match failure {
            Failure::Invalid(_) if asked_for_stream => self.streams = false,
            Failure::Expired(_) | Failure::Invalid(_) | Failure::Unknown(_) => {}
            Failure::Refused(_) | Failure::Unreachable(_) => {
                self.ended();
                return false;
            }
        }
        self.stage = Stage::Listing;
        asked_for_stream && !self.streams
    }
}

/// A deletion carries the version of the deletion.
fn advance(since: &mut String, document: &Document) {
    if let Some(version) = document.version() {
        version.clone_into(since);
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let text = match status.message.trim() {
            "" => format!("status {} {}", status.code, status.reason),
            message => message.to_owned(),
        };
        match status.code {
            404 => Self::Unknown(text),
            410 => Self::Expired(text),
            400 | 422 => Self::Invalid(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error {
            return Self::from(&**status);
        }
        // Its own text names what kind of error it is in the client, not what happened.
        let mut text = String::new();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            let told = cause.to_string();
            if !text.contains(&told) {
                text = if text.is_empty() { told } else { format!("{text}: {told}") };
            }
            next = cause.source();
        }
        Self::Unreachable(if text.is_empty() { error.to_string() } else { text })
    }
}

impl<T> Event<T> {
    /// The event with its object in another form; `None` where the object has no such form.
    pub fn map<U>(self, form: impl FnOnce(T) -> Option<U>) -> Option<Event<U>> {
        Some(match self {
            Self::Listed(object) => Event::Listed(form(object)?),
            Self::Put(object) => Event::Put(form(object)?),
            Self::Deleted(object) => Event::Deleted(form(object)?),
            Self::Begin => Event::Begin,
            Self::Complete => Event::Complete,
            Self::Absent => Event::Absent,
            Self::Answering => Event::Answering,
            Self::Failing(failure) => Event::Failing(failure),
        })
    }
}

#[cfg(test)]
mod tests;
