//! What the admin page `/certs` shows, in the form of Envoy's.

use std::time::SystemTime;

use byrnie_identity::certificate_uris;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Identity, system_time};

impl Identity {
    /// Its certificates as `envoy.admin.v3.Certificates` in JSON, with their subject and issuer added. No keys.
    pub fn page(&self, now: SystemTime) -> Value {
        let each =
            |ders: &[CertificateDer<'_>]| -> Vec<Value> { ders.iter().map(|der| certificate(der, now)).collect() };
        json!({
            "certificates": [{ "ca_cert": each(&self.roots), "cert_chain": each(&self.chain) }],
            "identity": {
                "uri": &*self.uri,
                "generation": self.generation,
                "valid_from": written(self.not_before),
                "expiration_time": written(self.not_after),
                "renew_at": written(self.renew_at),
            },
        })
    }
}

/// `envoy.admin.v3.CertificateDetails`. What cannot be read is left out.
fn certificate(der: &[u8], now: SystemTime) -> Value {
    let Ok((_, read)) = X509Certificate::from_der(der) else { return json!({ "path": "<inline>" }) };
    let validity = read.validity();
    let [from, until] = [validity.not_before, validity.not_after].map(|time| system_time(time.timestamp()));
    let days = until.duration_since(now).unwrap_or_default().as_secs() / 86_400;
    let names = certificate_uris(der).unwrap_or_default();
    let serial: String = read.raw_serial().iter().map(|octet| format!("{octet:02x}")).collect();
    json!({
        "path": "<inline>",
        "serial_number": serial,
        "subject": read.subject().to_string(),
        "issuer": read.issuer().to_string(),
        "subject_alt_names": names.iter().map(|uri| json!({ "uri": uri })).collect::<Vec<_>>(),
        // A 64-bit number is text in the JSON of protobuf.
        "days_until_expiration": days.to_string(),
        "valid_from": written(from),
        "expiration_time": written(until),
    })
}

/// As RFC 3339 has it, in whole seconds.
pub fn written(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, [hour, minute, second]) = (time.date(), [time.hour(), time.minute(), time.second()]);
    format!("{}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", date.year(), u8::from(date.month()), date.day())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::testing::{Authority, CART},
        *,
    };

    #[test]
    fn the_page_shows_chain_and_roots_as_envoy_does_and_no_key() {
        let authority = Authority::new();
        let identity = authority.identity(CART, Duration::from_secs(2 * 86_400 + 120));
        let page = identity.page(SystemTime::now());
        let [leaf, issuer] = &page["certificates"][0]["cert_chain"].as_array().unwrap()[..] else { panic!("{page}") };
        assert_eq!(leaf["subject_alt_names"][0]["uri"], CART);
        assert_eq!(leaf["days_until_expiration"], "2");
        assert_eq!(leaf["issuer"], "CN=issuer");
        assert_eq!(issuer["issuer"], "CN=root");
        assert_eq!(page["certificates"][0]["ca_cert"][0]["subject"], "CN=root");
        assert_eq!(page["identity"]["uri"], CART);
        assert_eq!(page["identity"]["expiration_time"], leaf["expiration_time"]);
        assert!(!page.to_string().contains("PRIVATE"));
        assert!(!format!("{identity:?}").contains("key"), "{identity:?}");
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(written(system_time(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(written(system_time(-5)), "1970-01-01T00:00:00Z");
    }
}
