//! The files of a directory, read when they change, through the catalog into the index.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use byrnie_model::Place;

use super::{
    catalog::{Catalog, Change},
    documents::Format,
    files::{self, Folder, Found, Identity, LARGEST_FILE, Listing, Stamp},
    parse::Told,
    watch::{Pending, Watch, Written, parent},
};
use crate::{
    batch::Batch,
    findings::{Finding, Severity},
    index::Index,
};

/// All that is known of a directory.
pub struct Loader {
    root: PathBuf,
    watch: Option<Watch>,
    /// By the path that the user sees.
    files: BTreeMap<Arc<Path>, Known>,
    /// The same by real path, as events have it, where that is another.
    seen_as: HashMap<Arc<Path>, Arc<Path>>,
    directories: HashMap<PathBuf, Folder>,
    hinges: HashSet<PathBuf>,
    catalog: Catalog,
    index: Index,
    /// What is wrong with the directory, not with what is written in a file.
    faults: Vec<Finding>,
    /// Whether some directory cannot be watched.
    is_blind: bool,
    told: Vec<Finding>,
}

struct Known {
    /// The same allocation as the path that the user sees, where both are equal.
    real: Arc<Path>,
    /// `None` where the file could not be read: it is tried again.
    stamp: Option<Stamp>,
}

enum Outcome {
    /// The catalog has its text, or why it has none.
    Taken(Option<Stamp>),
    /// There is no file.
    Missing,
    /// It may be half written.
    Unfinished,
}

impl Loader {
    /// A loader that has read nothing.
    pub fn new(root: &Path, watch: Option<Watch>) -> Self {
        Self {
            root: root.to_path_buf(),
            watch,
            files: BTreeMap::new(),
            seen_as: HashMap::new(),
            directories: HashMap::new(),
            hinges: HashSet::new(),
            catalog: Catalog::default(),
            index: Index::default(),
            faults: Vec::new(),
            is_blind: false,
            told: Vec::new(),
        }
    }

    /// Lists, watches and reads the directory. An error is about the directory itself.
    pub fn open(&mut self) -> io::Result<()> {
        // Names in events are absolute, and so must be what they are compared with.
        let root = std::path::absolute(&self.root)?;
        let mut listing = list(&self.root, &root)?;
        // What comes while the watches are set is seen by listing again.
        while self.watch.is_some() {
            let refused = self.set_watches(&listing);
            let again = list(&self.root, &root)?;
            let is_stable = again.directories == listing.directories && again.hinges == listing.hinges;
            listing = again;
            if is_stable || refused {
                break;
            }
        }
        self.take_listing(listing, None);
        Ok(())
    }

    /// Whether changes may go unseen by events.
    pub fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Whether one of the paths is more than a file: a directory, a link, or a name by which others are found.
    pub fn concerns_everything(&self, paths: &[(PathBuf, Written)]) -> bool {
        paths.iter().any(|(path, _)| {
            if self.hinges.contains(path) || self.directories.contains_key(path) {
                return true;
            }
            if self.known_as(path).is_some() || !self.directories.contains_key(parent(path)) {
                return false;
            }
            if path.file_name().is_none_or(|name| files::is_hidden(&name.to_owned())) {
                return false;
            }
            fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() || metadata.is_symlink())
        })
    }

    /// Lists all and reads what changed.
    pub fn rescan(&mut self, pending: &Pending) {
        let listing = std::path::absolute(&self.root).and_then(|root| list(&self.root, &root));
        match listing {
            Ok(listing) => self.take_listing(listing, Some(pending)),
            Err(error) => {
                let lost = Listing { hinges: self.root_hinges(), ..Listing::default() };
                self.set_watches(&lost);
                let message = format!("cannot read the directory: {error}; what was read last keeps serving");
                let place = Place { file: self.root.clone(), line: 0 };
                self.faults = vec![Finding::at(Severity::Error, place, message)];
                // A directory that returns under a name that no event tells of is found by looking.
                self.is_blind = true;
                self.directories = lost.directories;
                self.hinges = lost.hinges;
            }
        }
    }

    /// Reads single files again, by real path.
    pub fn look_at(&mut self, paths: &[(PathBuf, Written)], pending: &Pending) {
        for (real, written) in paths {
            let Some(seen) = self.seen(real) else { continue };
            match self.read(&seen, real, *written) {
                Outcome::Taken(stamp) => {
                    self.know(seen, real, stamp);
                }
                // Of a directory that is gone as a whole all keeps serving; another event tells of it.
                Outcome::Missing if *written == Written::Quiet && self.root.is_dir() => self.forget(&seen),
                Outcome::Missing if self.files.contains_key(&*seen) => pending.later(real.clone(), Instant::now()),
                Outcome::Missing | Outcome::Unfinished => {}
            }
        }
    }

    /// What changed since the last batch, and all findings.
    pub fn batch(&mut self, changed_at: Instant) -> Batch {
        for change in self.catalog.changes() {
            match change {
                Change::Put(_, object, place) => self.index.put(&object, Some(place)),
                Change::Delete(object) => self.index.delete(&object),
            }
        }
        let updates = self.index.updates();
        let mut findings = self.faults.clone();
        findings.extend(self.catalog.findings());
        findings.extend(self.index.findings());
        findings.sort_unstable();
        self.told.clone_from(&findings);
        Batch { updates, findings, unreadable: BTreeMap::new(), changed_at }
    }

    /// As [`Loader::batch`]; `None` where nothing changed.
    pub fn batch_of_change(&mut self, changed_at: Instant) -> Option<Batch> {
        let told = std::mem::take(&mut self.told);
        let batch = self.batch(changed_at);
        (!batch.updates.is_empty() || batch.findings != told).then_some(batch)
    }

    /// Takes the content of a file.
    pub fn take_bytes(&mut self, seen: &Arc<Path>, bytes: &[u8]) {
        let format = files::format(seen).unwrap_or(Format::Yaml);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.len() as u64 > LARGEST_FILE {
            return self.hold(seen, &format!("is larger than {} MiB and is not read", LARGEST_FILE >> 20));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.catalog.put(seen, text, format),
            Err(error) => {
                let good = &bytes[..error.valid_up_to()];
                let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
                let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
                let message = "is no UTF-8 text from here".to_owned();
                self.catalog.hold(seen, Told { column: Some(column), ..Told::fault(line, message) });
            }
        }
    }

    fn take_listing(&mut self, listing: Listing, pending: Option<&Pending>) {
        self.set_watches(&listing);
        let now = Instant::now();
        let gone: Vec<Arc<Path>> =
            self.files.keys().filter(|seen| !listing.files.contains_key(&***seen)).cloned().collect();
        for seen in gone {
            if listing.unreadable.iter().any(|(path, _)| seen.starts_with(path)) {
                continue;
            }
            let Some(known) = self.files.get(&seen) else { continue };
            // Where its directory is still the same one, an editor may be about to write the file anew.
            let directory = parent(&known.real);
            let stays =
                listing.directories.get(directory).is_some_and(|id| self.directories.get(directory) == Some(id));
            match pending.filter(|_| stays) {
                Some(pending) => pending.later(known.real.to_path_buf(), now),
                None => self.forget(&seen),
            }
        }
        self.seen_as.clear();
        for (seen, Found { real, stamp }) in &listing.files {
            let known = self.files.get_key_value(&**seen);
            if known.is_some_and(|(_, known)| known.stamp == Some(*stamp) && *known.real == **real) {
                continue;
            }
            let seen = known.map_or_else(|| seen.as_path().into(), |(seen, _)| seen.clone());
            if let Outcome::Taken(stamp) = self.read(&seen, real, Written::Closed) {
                self.know(seen, real, stamp);
            }
        }
        let elsewhere = self.files.iter().filter(|(seen, known)| **seen != known.real);
        self.seen_as = elsewhere.map(|(seen, known)| (known.real.clone(), seen.clone())).collect();
        self.directories = listing.directories;
        self.hinges = listing.hinges;
        for (path, why) in listing.unreadable {
            let place = Place { file: path, line: 0 };
            let message = format!("cannot be read: {why}; what was read last keeps serving");
            self.faults.push(Finding::at(Severity::Error, place, message));
        }
    }

    /// Reads a file into the catalog.
    fn read(&mut self, seen: &Arc<Path>, real: &Path, written: Written) -> Outcome {
        let (metadata, bytes) = match read_file(real) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Outcome::Missing,
            Err(error) => {
                self.hold(seen, &format!("cannot be read: {error}"));
                return Outcome::Taken(None);
            }
        };
        // Writers truncate first. An empty file takes objects away only when its writer has closed it.
        if written == Written::Quiet && bytes.is_empty() && self.catalog.holds_objects(seen) {
            return Outcome::Unfinished;
        }
        self.take_bytes(seen, &bytes);
        Outcome::Taken(Some(files::stamp(&metadata)))
    }

    fn hold(&mut self, seen: &Arc<Path>, message: &str) {
        self.catalog.hold(seen, Told::fault(0, message.to_owned()));
    }

    fn know(&mut self, seen: Arc<Path>, real: &Path, stamp: Option<Stamp>) {
        let is_same = *seen == *real;
        let real = if is_same { seen.clone() } else { real.into() };
        if !is_same {
            self.seen_as.insert(real.clone(), seen.clone());
        }
        self.files.insert(seen, Known { real, stamp });
    }

    /// The path by which the user sees a known file.
    fn known_as(&self, real: &Path) -> Option<&Arc<Path>> {
        let itself = || self.files.get_key_value(real).filter(|(_, known)| *known.real == *real);
        self.seen_as.get(real).or_else(|| itself().map(|(seen, _)| seen))
    }

    fn forget(&mut self, seen: &Path) {
        if let Some(known) = self.files.remove(seen) {
            self.seen_as.remove(&known.real);
        }
        self.catalog.remove(seen);
    }

    /// The path by which the user sees a real file: a known one, or a new one in a listed directory.
    fn seen(&self, real: &Path) -> Option<Arc<Path>> {
        if let Some(seen) = self.known_as(real) {
            return Some(seen.clone());
        }
        let name = real.file_name()?.to_owned();
        let is_read = files::format(real).is_some() && !files::is_hidden(&name);
        let folder = self.directories.get(parent(real)).filter(|_| is_read)?;
        Some(folder.seen.join(name).into())
    }

    fn root_hinges(&self) -> HashSet<PathBuf> {
        std::path::absolute(&self.root).map(|root| files::hinges(&root).into_iter().collect()).unwrap_or_default()
    }

    /// Watches all directories of a listing; whether some cannot be.
    fn set_watches(&mut self, listing: &Listing) -> bool {
        self.faults.clear();
        self.is_blind = false;
        let Some(watch) = &mut self.watch else { return false };
        let mut wanted: HashMap<PathBuf, Identity> =
            listing.directories.iter().map(|(path, folder)| (path.clone(), folder.identity)).collect();
        let elsewhere = listing.hinges.iter().map(|hinge| parent(hinge));
        let elsewhere = elsewhere.chain(listing.files.values().map(|found| parent(&found.real)));
        for directory in elsewhere {
            if !wanted.contains_key(directory)
                && let Some(identity) = files::identity_of(directory)
            {
                wanted.insert(directory.to_path_buf(), identity);
            }
        }
        for (path, why) in watch.set(&wanted) {
            let place = Place { file: path, line: 0 };
            let message = format!("cannot be watched: {why}; changes are looked for every half second instead");
            self.faults.push(Finding::at(Severity::Warning, place, message));
            self.is_blind = true;
        }
        self.is_blind
    }
}

/// Lists under the absolute root, named as the user named it.
fn list(named: &Path, absolute: &Path) -> io::Result<Listing> {
    let mut listing = files::list(named)?;
    listing.hinges.extend(files::hinges(absolute));
    Ok(listing)
}

fn read_file(path: &Path) -> io::Result<(fs::Metadata, Vec<u8>)> {
    use io::Read as _;
    // A pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or(0));
    // One byte more than is read tells that the file is larger.
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok((metadata, bytes))
}
