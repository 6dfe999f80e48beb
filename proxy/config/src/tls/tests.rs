use byrnie_proto::envoy::{
    envoy::{
        config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier},
        r#type::matcher::v3::StringMatcher,
    },
    google::protobuf::BoolValue,
};

use super::*;
use crate::value::testing::packed;

fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}

fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads()) }
}

/// As the control plane writes it, with a peer by `pattern`.
pub fn common_context(pattern: MatchPattern, alpn: &[&str]) -> CommonTlsContext {
    let san = SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ignore_case: false }),
        ..Default::default()
    };
    CommonTlsContext {
        tls_params: Some(TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv13.into(),
            tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
            ecdh_curves: vec!["X25519MLKEM768".to_owned(), "X25519".to_owned()],
            ..Default::default()
        }),
        tls_certificate_sds_secret_configs: vec![secret(WORKLOAD)],
        alpn_protocols: alpn.iter().map(|&protocol| protocol.to_owned()).collect(),
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(
            CombinedCertificateValidationContext {
                default_validation_context: Some(CertificateValidationContext {
                    match_typed_subject_alt_names: vec![san],
                    ..Default::default()
                }),
                validation_context_sds_secret_config: Some(secret(TRUST)),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

fn read(change: impl FnOnce(&mut CommonTlsContext)) -> Result<Option<UpstreamTls>, Refused> {
    let mut common = common_context(MatchPattern::Exact("spiffe://d/ns/a/sa/b".to_owned()), &["h2"]);
    change(&mut common);
    let context = UpstreamTlsContext { common_tls_context: Some(common), sni: "name".to_owned(), ..Default::default() };
    UpstreamTls::read(&packed(&context), &At::ROOT)
}

fn refused(change: impl FnOnce(&mut CommonTlsContext)) -> String {
    read(change).unwrap_err().to_string()
}

#[test]
fn a_context_names_its_peer_and_what_it_offers() {
    let tls = read(|_| {}).unwrap().unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("name"));
    assert_eq!(tls.alpn, [Box::from(*b"h2")]);
    assert!(tls.peers[0].accepts("spiffe://d/ns/a/sa/b") && !tls.peers[0].accepts("spiffe://d/ns/a/sa/bc"));
    assert_eq!(UpstreamTls::read(&packed(&RawBuffer {}), &At::ROOT), Ok(None));
}

#[test]
fn only_the_secrets_and_versions_of_the_mesh_are_taken() {
    let other = refused(|common| common.tls_certificate_sds_secret_configs[0].name = "other".to_owned());
    let path = "typed_config.common_tls_context.tls_certificate_sds_secret_configs[0].name";
    assert_eq!(other, format!("{path}: found \"other\"; accepted: workload"));
    let version = refused(|common| common.tls_params.as_mut().unwrap().tls_minimum_protocol_version = 3);
    assert!(version.contains("tls_minimum_protocol_version: found \"TLSv1_2\"; accepted: TLSv1_3"), "{version}");
    assert!(refused(|common| common.tls_params.as_mut().unwrap().ecdh_curves.clear()).contains("ecdh_curves"));
    assert!(refused(|common| common.tls_params = None).ends_with("tls_params: missing"));
    let roots = refused(|common| common.tls_certificates.push(Default::default()));
    assert!(roots.contains("tls_certificates: not supported"), "{roots}");
}

#[test]
fn a_peer_is_told_by_its_uri() {
    let with = |change: fn(&mut CertificateValidationContext)| {
        refused(|common| {
            let Some(ValidationContextType::CombinedValidationContext(combined)) = &mut common.validation_context_type
            else {
                panic!()
            };
            change(combined.default_validation_context.as_mut().unwrap());
        })
    };
    assert!(with(|context| context.match_typed_subject_alt_names.clear()).contains("at least one"));
    let dns = with(|context| context.match_typed_subject_alt_names[0].san_type = SanType::Dns.into());
    assert!(dns.ends_with("match_typed_subject_alt_names[0].san_type: found Dns; accepted: URI"), "{dns}");
    assert!(with(|context| context.allow_expired_certificate = true).contains("allow_expired_certificate"));
}

#[test]
fn a_client_without_a_certificate_is_never_taken() {
    let common = common_context(MatchPattern::Prefix("spiffe://d/".to_owned()), &["h2", "http/1.1"]);
    let mut context = DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: Some(BoolValue { value: true }),
        ..Default::default()
    };
    let tls = DownstreamTls::read(&packed(&context), &At::ROOT).unwrap().unwrap();
    assert!(tls.peers[0].accepts("spiffe://d/ns/a/sa/b") && tls.alpn.len() == 2);
    context.require_client_certificate = None;
    let error = DownstreamTls::read(&packed(&context), &At::ROOT).unwrap_err();
    assert_eq!(error.to_string(), "typed_config.require_client_certificate: found false; accepted: true");
}
