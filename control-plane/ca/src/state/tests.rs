use std::{
    env,
    os::unix::process::ExitStatusExt,
    process::{Command, Output},
    thread,
};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CHILD: &str = "BYRNIE_TEST_STATE";
const SECRETS: [&str; 3] = [ROOT_KEY, ISSUER, TOKEN_KEY];

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn domain() -> TrustDomain {
    TrustDomain::default()
}

fn open(dir: &TempDir, now: SystemTime) -> Result<State, StateError> {
    State::open(dir.path(), &domain(), now)
}

fn fresh() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    open(&dir, now()).unwrap();
    dir
}

impl State {
    fn root(&self) -> &CertificateDer<'static> {
        &self.keys.roots().roots()[0]
    }

    fn issuer(&self) -> &CertificateDer<'static> {
        self.keys.issuing().signer.certificate()
    }

    fn issuer_ends(&self) -> SystemTime {
        self.keys.not_after()
    }
}

fn home(dir: &TempDir) -> PathBuf {
    dir.path().join(HOME)
}

/// What opening says with one file of a good state replaced.
fn refused_with(file: &str, content: &str) -> String {
    let dir = fresh();
    fs::write(home(&dir).join(file), content).unwrap();
    open(&dir, now()).unwrap_err().to_string()
}

fn contents(dir: &TempDir) -> Vec<(String, String)> {
    let entries = fs::read_dir(home(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_first_start_makes_keys_for_the_owner_only_and_the_next_finds_them() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state/byrnie");
    let first = State::open(&dir, &domain(), now()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join(HOME))), (0o700, 0o700));
    for name in SECRETS {
        assert_eq!(mode(&dir.join(HOME).join(name)), 0o600, "{name}");
    }
    let second = State::open(&dir, &domain(), now() + DAY).unwrap();
    assert_eq!(first.root(), second.root());
    assert_eq!(first.issuer(), second.issuer());
}

#[test]
fn processes_that_start_at_once_agree_on_one_root() {
    let dir = tempfile::tempdir().unwrap();
    let roots: Vec<_> = thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&dir, now()).unwrap())).collect();
        starts.into_iter().map(|start| start.join().unwrap().root().clone()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[test]
fn the_state_of_another_trust_domain_is_refused_with_both_names_and_the_directory() {
    let dir = fresh();
    let error = State::open(dir.path(), &"prod.example".parse().unwrap(), now()).unwrap_err().to_string();
    for part in ["cluster.local", "prod.example", &dir.path().display().to_string(), "--state"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_helps() {
    for name in SECRETS {
        let dir = fresh();
        let path = home(&dir).join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = open(&dir, now()).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())) && error.contains("0640"), "{error}");
    }
    let dir = fresh();
    fs::set_permissions(home(&dir), fs::Permissions::from_mode(0o777)).unwrap();
    let error = open(&dir, now()).unwrap_err().to_string();
    assert!(error.contains(&format!("chmod 700 {}", home(&dir).display())), "{error}");
}

#[test]
fn a_file_that_does_not_fit_the_others_is_named() {
    let other = fresh();
    let of_other = |file: &str| fs::read_to_string(home(&other).join(file)).unwrap();
    let cases = [
        (ROOT_KEY, of_other(ROOT_KEY), "root.key is not the key of its certificate"),
        (ROOT_CERTIFICATE, of_other(ROOT_CERTIFICATE), "root.key is not the key of its certificate"),
        (ROOT_CERTIFICATE, "rubbish".to_owned(), "root.crt holds no certificate"),
        (ISSUER, of_other(ISSUER), "issuer.pem is not signed by the root"),
        (ISSUER, of_other(ROOT_KEY) + &of_other(ISSUER), "issuer.pem is not the key of its certificate"),
        (ISSUER, String::new(), "issuer.pem holds no certificate"),
        (TOKEN_KEY, "rubbish".to_owned(), "token.key holds no key"),
        (TOKEN_KEY, KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem(), "ECDSA P-256 is needed"),
        (TRUST_DOMAIN, "Not A Domain".to_owned(), "trust-domain: \"Not A Domain\" is no trust domain"),
    ];
    for (file, content, wanted) in cases {
        let error = refused_with(file, &content);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn a_leaf_in_the_place_of_the_root_is_refused() {
    let key = KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["cart.shop".to_owned()]).unwrap().self_signed(&key).unwrap();
    let dir = fresh();
    fs::write(home(&dir).join(ROOT_KEY), key.serialize_pem()).unwrap();
    fs::write(home(&dir).join(ROOT_CERTIFICATE), leaf.pem()).unwrap();
    let error = open(&dir, now()).unwrap_err().to_string();
    assert!(error.contains("root.crt is no CA certificate"), "{error}");
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    for name in [ROOT_CERTIFICATE, ROOT_KEY, ISSUER, TOKEN_KEY, TRUST_DOMAIN] {
        let dir = fresh();
        fs::remove_file(home(&dir).join(name)).unwrap();
        let error = open(&dir, now()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is missing: put it back")), "{error}");
    }
}

#[test]
fn a_path_that_is_a_file_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = State::open(file.path(), &domain(), now()).unwrap_err().to_string();
    assert!(error.contains(&file.path().display().to_string()), "{error}");
}

#[test]
fn the_time_of_the_root_is_kept() {
    let dir = fresh();
    let early = open(&dir, now() - DAY).unwrap_err().to_string();
    assert!(early.contains("root.crt is not valid before"), "{early}");
    let late = open(&dir, now() + 3651 * DAY).unwrap_err().to_string();
    assert!(late.contains("root.crt expired at"), "{late}");
}

#[test]
fn the_issuer_is_renewed_at_two_thirds_of_its_life_and_the_root_stays() {
    let dir = fresh();
    let first = open(&dir, now()).unwrap();
    let early = open(&dir, now() + 243 * DAY).unwrap();
    assert_eq!(early.issuer(), first.issuer());
    let due = open(&dir, now() + 244 * DAY).unwrap();
    assert_ne!(due.issuer(), first.issuer());
    assert_eq!(due.issuer_ends(), now() + (244 + 365) * DAY);
    assert_eq!(due.root(), first.root());
    assert_eq!(open(&dir, now() + 245 * DAY).unwrap().issuer(), due.issuer());
    // Away for years: expired, and renewed from the root all the same.
    assert_eq!(open(&dir, now() + 2000 * DAY).unwrap().issuer_ends(), now() + 2365 * DAY);
}

#[test]
fn an_issuer_never_outlives_the_root() {
    let dir = fresh();
    let last = open(&dir, now() + 3600 * DAY).unwrap();
    assert_eq!(last.issuer_ends(), now() + 3650 * DAY);
    let again = open(&dir, now() + 3649 * DAY).unwrap();
    assert_eq!(again.issuer(), last.issuer(), "a new one would end at the same time");
}

#[test]
fn what_a_killed_first_start_left_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("ca.new");
    fs::create_dir(&left).unwrap();
    fs::write(left.join(ROOT_CERTIFICATE), "half").unwrap();
    open(&dir, now()).unwrap();
    assert!(!left.exists());
}

#[test]
fn minting_needs_a_state_that_is_there_and_only_its_token_key() {
    let empty = tempfile::tempdir().unwrap();
    let error = State::token_key(empty.path()).unwrap_err().to_string();
    assert!(error.contains("holds no keys yet"), "{error}");
    let dir = fresh();
    fs::remove_file(home(&dir).join(ROOT_KEY)).unwrap();
    let token = State::token_key(dir.path()).unwrap().mint(&"shop/cart-1".parse().unwrap(), DAY, now()).unwrap();
    assert!(State::token_key(dir.path()).unwrap().verify(token.as_str(), now()).is_ok());
}

#[test]
fn no_debug_text_of_the_state_holds_a_key() {
    let dir = fresh();
    let text = format!("{:?}", open(&dir, now()).unwrap());
    for name in SECRETS {
        let key = fs::read_to_string(home(&dir).join(name)).unwrap();
        let line = key.lines().nth(1).unwrap();
        assert!(!text.contains(line) && !text.contains("PRIVATE"), "{text}");
    }
}

/// Runs this test's own body again, as a process that may write 512 bytes to a file and no more. The signal that the
/// kernel sends then is ignored (the write fails, as on a full disk) or kills in the middle of the write.
fn with_a_full_disk(test: &str, dir: &TempDir, survive: bool) -> Output {
    let trap = if survive { "trap '' XFSZ; " } else { "" };
    Command::new("sh")
        .args(["-c", &format!("{trap}ulimit -c 0; ulimit -f 1; exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("state::tests::{test}")])
        .env(CHILD, dir.path())
        .output()
        .unwrap()
}

/// The part of the process that [`with_a_full_disk`] starts; says whether this is one.
fn opened_as_child(now: SystemTime) -> bool {
    let Some(dir) = env::var_os(CHILD) else { return false };
    match State::open(Path::new(&dir), &domain(), now) {
        Ok(state) => println!("opened, issuer ends at {:?}", state.issuer_ends()),
        Err(error) => println!("refused: {error}"),
    }
    true
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_full_disk_or_a_kill_at_the_first_start_leaves_no_state() {
    if opened_as_child(now()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "a_full_disk_or_a_kill_at_the_first_start_leaves_no_state";
    let full = said(&with_a_full_disk(test, &dir, true));
    assert!(full.contains("refused: ") && full.contains("cannot write the new keys: File too large"), "{full}");
    assert!(!home(&dir).exists());
    let killed = with_a_full_disk(test, &dir, false);
    assert!(killed.status.signal().is_some(), "{killed:?}");
    assert!(!home(&dir).exists());
    open(&dir, now()).unwrap();
}

#[test]
fn a_full_disk_or_a_kill_at_a_renewal_leaves_the_old_state() {
    let due = now() + 300 * DAY;
    if opened_as_child(due) {
        return;
    }
    let dir = fresh();
    let before = contents(&dir);
    let test = "a_full_disk_or_a_kill_at_a_renewal_leaves_the_old_state";
    let full = said(&with_a_full_disk(test, &dir, true));
    assert!(full.contains(&format!("opened, issuer ends at {:?}", now() + 365 * DAY)), "{full}");
    assert_eq!(contents(&dir), before);
    let killed = with_a_full_disk(test, &dir, false);
    assert!(killed.status.signal().is_some(), "{killed:?}");
    let after: Vec<_> = contents(&dir).into_iter().filter(|(path, _)| !path.ends_with(".new")).collect();
    assert_eq!(after, before);
    let renewed = open(&dir, due).unwrap();
    assert_eq!(renewed.issuer_ends(), due + 365 * DAY);
    assert_eq!(contents(&dir).len(), before.len(), "nothing is left over");
}

#[test]
fn a_held_lock_is_not_taken_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOCK);
    let first = Lock::take(&path, Duration::ZERO).unwrap().unwrap();
    assert!(Lock::take(&path, Duration::ZERO).unwrap().is_none());
    drop(first);
    assert!(Lock::take(&path, PATIENCE).unwrap().is_some());
}

#[test]
fn a_renewal_is_on_the_disk_before_the_authority_issues_with_it() {
    let dir = fresh();
    let state = open(&dir, now()).unwrap();
    let authority = Authority::new(state.keys().clone());
    assert!(!state.renew_issuer(&authority, now() + 243 * DAY).unwrap());
    assert!(state.renew_issuer(&authority, now() + 244 * DAY).unwrap());
    assert!(!state.renew_issuer(&authority, now() + 244 * DAY).unwrap());
    assert_ne!(authority.keys().issuing().signer.certificate(), state.issuer());
    let found = open(&dir, now() + 244 * DAY).unwrap();
    assert_eq!(authority.keys().issuing().signer.certificate(), found.issuer());
}

#[tokio::test]
async fn a_running_authority_renews_its_issuer_by_the_clock() {
    let dir = fresh();
    let state = Arc::new(open(&dir, now()).unwrap());
    let authority = Arc::new(Authority::new(state.keys().clone()));
    let clock: Clock = Arc::new(|| now() + 300 * DAY);
    let renewed = async {
        while authority.keys().issuing().signer.certificate() == state.issuer() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = Arc::clone(&state).keep_issuer(authority.clone(), clock) => unreachable!("it runs until it is dropped"),
        done = tokio::time::timeout(Duration::from_secs(30), renewed) => done.unwrap(),
    }
}
