use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn domain() -> TrustDomain {
    TrustDomain::default()
}

fn read(texts: &BTreeMap<String, Vec<u8>>) -> Result<Keys, KeysError> {
    Keys::from_texts(texts, &domain(), now())
}

#[test]
fn keys_survive_texts_and_back() {
    let keys = Keys::make(&domain(), now()).unwrap();
    let texts = keys.texts();
    let names = [ISSUER, ROOT_CERTIFICATE, ROOT_KEY, TOKEN_KEY, TRUST_DOMAIN];
    assert_eq!(texts.keys().map(String::as_str).collect::<Vec<_>>(), names);
    let again = read(&texts).unwrap();
    assert_eq!(again.texts(), texts);
    assert_eq!(again.roots(), keys.roots());
    assert_eq!(again.issuing().chain, keys.issuing().chain);
    let token = keys.tokens().unwrap().mint(&"shop/cart-1".parse().unwrap(), DAY, now()).unwrap();
    assert!(again.tokens().unwrap().verify(token.as_str(), now()).is_ok());
}

#[test]
fn what_a_secret_holds_besides_is_no_concern() {
    let mut texts = Keys::make(&domain(), now()).unwrap().texts();
    texts.insert("note".to_owned(), b"made on a Monday".to_vec());
    read(&texts).unwrap();
}

#[test]
fn a_text_that_is_missing_or_wrong_is_named() {
    let (ours, theirs) = (Keys::make(&domain(), now()).unwrap().texts(), Keys::make(&domain(), now()).unwrap().texts());
    for name in ours.keys() {
        let mut texts = ours.clone();
        texts.remove(name);
        assert_eq!(read(&texts).unwrap_err().to_string(), format!("{name} is missing"));
    }
    let cases = [
        (ROOT_KEY, theirs[ROOT_KEY].clone(), "root.key is not the key of its certificate"),
        (ISSUER, theirs[ISSUER].clone(), "issuer.pem is not signed by the root"),
        (ISSUER, vec![0xff; 9], "issuer.pem holds no certificate"),
        (TOKEN_KEY, vec![0xff; 9], "token.key holds no key"),
        (TRUST_DOMAIN, vec![0xff; 9], "trust-domain: "),
        (TRUST_DOMAIN, b"prod".to_vec(), "the keys are of the trust domain prod, not of cluster.local"),
    ];
    for (name, content, wanted) in cases {
        let error = read(&[ours.clone(), [(name.to_owned(), content)].into()].into_iter().flatten().collect());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{wanted}: {error}");
    }
}

#[test]
fn the_issuer_is_renewed_when_it_is_due_and_the_rest_stays() {
    let keys = Keys::make(&domain(), now()).unwrap();
    let due = keys.renew_at().unwrap();
    assert!(due > now() + 243 * DAY && due < now() + 244 * DAY);
    assert!(keys.renewed(due - Duration::from_secs(1)).unwrap().is_none());
    let renewed = keys.renewed(due).unwrap().unwrap();
    let (before, after) = (keys.texts(), renewed.texts());
    for (name, text) in &before {
        assert_eq!(after[name] == *text, name != ISSUER, "{name}");
    }
    assert!(renewed.not_after() > keys.not_after() && renewed.renew_at().unwrap() > due);
    Keys::from_texts(&after, &domain(), due).unwrap();
}

#[test]
fn an_issuer_whose_time_is_over_is_read_to_be_renewed() {
    let texts = Keys::make(&domain(), now()).unwrap().texts();
    let late = now() + 1000 * DAY;
    let keys = Keys::from_texts(&texts, &domain(), late).unwrap();
    assert!(keys.not_after() < late);
    assert!(keys.renewed(late).unwrap().unwrap().not_after() > late);
}

#[test]
fn an_issuer_that_ends_with_its_root_is_never_due() {
    let texts = Keys::make(&domain(), now()).unwrap().texts();
    let late = now() + 3600 * DAY;
    let last = Keys::from_texts(&texts, &domain(), late).unwrap().renewed(late).unwrap().unwrap();
    assert_eq!(last.renew_at(), None);
    assert!(last.renewed(now() + 3649 * DAY).unwrap().is_none());
}

#[test]
fn no_debug_text_holds_a_key() {
    let keys = Keys::make(&domain(), now()).unwrap();
    let text = format!("{keys:?}");
    for name in [ROOT_KEY, ISSUER, TOKEN_KEY] {
        let key = String::from_utf8(keys.texts().remove(name).unwrap()).unwrap();
        assert!(!text.contains(key.lines().nth(1).unwrap()) && !text.contains("PRIVATE"), "{text}");
    }
}
