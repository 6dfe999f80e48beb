use std::{os::unix::fs::PermissionsExt, time::Duration};

use super::{
    super::testing::{Authority, CART},
    *,
};

const HOUR: Duration = Duration::from_secs(3600);
const WORKLOAD: &str = "shop/cart-1";

fn issued(left: Duration) -> (Identity, KeyPair) {
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let chain = authority.sign(&[CART], &key, left);
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (Identity::new(chain, &der, authority.roots(), unix(1_800_000_000)).unwrap(), key)
}

#[test]
fn what_was_stored_is_the_identity_again() {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::new(folder.path());
    assert!(stored.load(WORKLOAD, SystemTime::now()).unwrap().is_none());
    let (identity, key) = issued(HOUR);
    stored.save(WORKLOAD, &issued(HOUR).0, &KeyPair::generate().unwrap()).unwrap();
    stored.save(WORKLOAD, &identity, &key).unwrap();
    let again = stored.load(WORKLOAD, SystemTime::now()).unwrap().unwrap();
    assert_eq!((again.chain(), again.roots()), (identity.chain(), identity.roots()));
    assert_eq!((again.uri(), again.renew_at()), (identity.uri(), identity.renew_at()));
}

#[test]
fn only_the_owner_may_read_it_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::new(folder.path());
    // What a crash left, open to all.
    fs::write(folder.path().join("identity.new"), "").unwrap();
    let (identity, key) = issued(HOUR);
    stored.save(WORKLOAD, &identity, &key).unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [folder.path().join(FILE)]);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_ended_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::new(folder.path());
    let (identity, key) = issued(HOUR);
    stored.save(WORKLOAD, &identity, &key).unwrap();
    assert!(stored.load(WORKLOAD, SystemTime::now() + HOUR).unwrap().is_none());
    assert!(stored.load(WORKLOAD, SystemTime::now() - 2 * HOUR).unwrap().is_none());
}

#[test]
fn what_is_not_this_workloads_own_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stored = Stored::new(folder.path());
    let (identity, key) = issued(HOUR);
    stored.save("shop/front-1", &identity, &key).unwrap();
    let error = |stored: &Stored| stored.load(WORKLOAD, SystemTime::now()).unwrap_err().to_string();
    assert!(error(&stored).ends_with("expected the workload shop/cart-1, found shop/front-1"), "{}", error(&stored));
    stored.save(WORKLOAD, &identity, &KeyPair::generate().unwrap()).unwrap();
    assert!(error(&stored).contains("expected the certificate of the own key"), "{}", error(&stored));
    for (text, found) in [("", "JSON"), ("{}", "workload"), (r#"{"workload":"shop/cart-1","key":"x"}"#, "key")] {
        fs::write(folder.path().join(FILE), text).unwrap();
        assert!(error(&stored).ends_with(&format!("found no readable {found}")), "{}", error(&stored));
    }
}
