use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn key() -> TokenKey {
    TokenKey::from_pem(TrustDomain::default(), &KeyPair::generate().unwrap().serialize_pem()).unwrap()
}

fn cart() -> Subject {
    "shop/cart-7d9f".parse().unwrap()
}

fn minted(key: &TokenKey) -> String {
    key.mint(&cart(), TOKEN_LIFETIME, now()).unwrap().as_str().to_owned()
}

/// A token with any claims, signed by `key`.
fn signed(key: &TokenKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(ALGORITHM), claims, &key.signing).unwrap()
}

fn claims() -> Value {
    let iat = unix(now());
    json!({"iss": "cluster.local", "sub": "shop/cart-7d9f", "aud": TOKEN_AUDIENCE, "iat": iat, "exp": iat + 60})
}

fn without_signature(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn a_minted_token_speaks_for_its_workload_until_it_expires() {
    let key = key();
    let token = minted(&key);
    assert_eq!(key.verify(&token, now()), Ok(cart()));
    assert_eq!(key.verify(&token, now() + TOKEN_LIFETIME - Duration::from_secs(1)), Ok(cart()));
    let error = key.verify(&token, now() + TOKEN_LIFETIME + Duration::from_secs(200)).unwrap_err();
    assert_eq!(error, TokenError::Expired { ago: Duration::from_secs(200) });
    assert!(error.to_string().contains("expired 3 min ago"), "{error}");
}

#[test]
fn each_claim_that_is_wrong_is_named() {
    let key = key();
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        key.verify(&signed(&key, &claims), now())
    };
    assert_eq!(with("exp", json!(unix(now()) + 1)), Ok(cart()));
    assert_eq!(with("aud", json!("vault")), Err(TokenError::Audience { found: "vault".into() }));
    let other = TokenError::Issuer { found: "prod".into(), wanted: "cluster.local".into() };
    assert_eq!(with("iss", json!("prod")), Err(other));
    assert_eq!(with("iat", json!(unix(now()) + 60)), Ok(cart()), "clocks may differ by a minute");
    let by = Duration::from_secs(300);
    assert_eq!(with("iat", json!(unix(now()) + 300)), Err(TokenError::NotYet { by }));
    for sub in ["", "shop", "shop/", "/cart", "shop/cart/x", "../cart", "Shop/cart", "shop/ca rt"] {
        assert_eq!(with("sub", json!(sub)), Err(TokenError::Subject(sub.into())));
    }
    for name in ["iss", "sub", "aud", "iat", "exp"] {
        assert_eq!(with(name, json!(null)), Err(TokenError::Claims), "{name}");
        assert_eq!(with(name, json!(["x"])), Err(TokenError::Claims), "{name}");
    }
}

#[test]
fn a_token_of_another_key_is_refused_as_that() {
    assert_eq!(key().verify(&minted(&key()), now()), Err(TokenError::Signature));
}

#[test]
fn no_other_algorithm_passes() {
    let key = key();
    let unsigned = without_signature(&json!({"alg": "none", "typ": "JWT"}), &claims());
    assert_eq!(key.verify(&format!("{unsigned}."), now()), Err(TokenError::NotAToken));
    // The classic confusion: our public key, which is public, used as a secret.
    let public = key.verifying.try_get_as_bytes().unwrap();
    let secret = EncodingKey::from_secret(public);
    let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(key.verify(&confused, now()), Err(TokenError::Algorithm));
    for alg in ["ES384", "RS256", "EdDSA"] {
        let relabelled = without_signature(&json!({"alg": alg}), &claims());
        assert_eq!(key.verify(&format!("{relabelled}.AAAA"), now()), Err(TokenError::Algorithm), "{alg}");
    }
    // A key that the token brings along is not looked at.
    let mut header = Header::new(ALGORITHM);
    header.jku = Some("https://example.org/keys".into());
    let stranger = KeyPair::generate().unwrap();
    let signing = EncodingKey::from_ec_der(stranger.serialized_der());
    let brought = jsonwebtoken::encode(&header, &claims(), &signing).unwrap();
    assert_eq!(key.verify(&brought, now()), Err(TokenError::Signature));
}

#[test]
fn what_is_no_token_is_refused_without_being_quoted() {
    let key = key();
    for text in ["", ".", "..", "secret", "secret.secret", "secret.secret.secret", "a.b.c.d", "ünïcode.x.y"] {
        let error = key.verify(text, now()).unwrap_err();
        assert_eq!(error, TokenError::NotAToken, "{text}");
        assert!(!error.to_string().contains("secret"));
    }
    let long = "x".repeat(MAX_BYTES + 1);
    assert_eq!(key.verify(&long, now()), Err(TokenError::TooLong(MAX_BYTES + 1)));
}

#[test]
fn a_lifetime_must_be_one_that_can_be_written() {
    let key = key();
    for lifetime in [Duration::ZERO, Duration::from_millis(900), Duration::MAX] {
        assert_eq!(key.mint(&cart(), lifetime, now()).unwrap_err(), TokenError::Lifetime(lifetime));
    }
}

#[test]
fn no_debug_text_holds_a_token_or_its_key() {
    let key = key();
    let token = key.mint(&cart(), TOKEN_LIFETIME, now()).unwrap();
    assert_eq!(format!("{token:?}"), "[redacted]");
    assert_eq!(format!("{key:?}"), "TokenKey { trust_domain: TrustDomain(\"cluster.local\"), .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_passes_or_panics(text in "[A-Za-z0-9_.=-]{0,200}|.{0,60}") {
        prop_assert!(key().verify(&text, now()).is_err());
    }

    #[test]
    fn a_token_with_any_character_changed_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let key = key();
        let token = minted(&key);
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != with);
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        let error = key.verify(&changed, now()).expect_err("changed");
        prop_assert!(!error.to_string().contains(&token[token.len() - 20..]));
    }

    #[test]
    fn every_workload_name_survives_a_token(namespace in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", pod in "[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?") {
        let key = key();
        let subject: Subject = format!("{namespace}/{pod}").parse().unwrap();
        let token = key.mint(&subject, TOKEN_LIFETIME, now()).unwrap();
        prop_assert_eq!(key.verify(token.as_str(), now()), Ok(subject));
    }
}
