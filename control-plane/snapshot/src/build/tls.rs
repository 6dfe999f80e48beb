//! Transport sockets of the mesh: who proves what to whom.

use byrnie_identity::Account;
use byrnie_model::MeshConfig;
use byrnie_proto::envoy::{
    envoy::{
        config::core::v3::{TransportSocket, transport_socket::ConfigType},
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Any, BoolValue},
};

use super::pack::{ads, any};
use crate::names::{TRUST_SECRET, WORKLOAD_SECRET};

/// The client's side of mesh TLS towards `account`: nobody else's certificate is accepted.
pub fn upstream(mesh: &MeshConfig, account: &Account, server_name: &str, alpn: &[&str]) -> TransportSocket {
    let identity = account.in_domain(&mesh.trust_domain).to_string();
    let context = UpstreamTlsContext {
        common_tls_context: Some(common(MatchPattern::Exact(identity), alpn)),
        sni: server_name.to_owned(),
        ..Default::default()
    };
    socket(any(&context))
}

/// The server's side of mesh TLS: every identity of the trust domain is let in, which one is for policies to judge.
pub fn downstream(mesh: &MeshConfig, alpn: &[&str]) -> TransportSocket {
    let domain = format!("spiffe://{}/", mesh.trust_domain);
    let context = DownstreamTlsContext {
        common_tls_context: Some(common(MatchPattern::Prefix(domain), alpn)),
        require_client_certificate: Some(BoolValue { value: true }),
        ..Default::default()
    };
    socket(any(&context))
}

fn common(identity: MatchPattern, alpn: &[&str]) -> CommonTlsContext {
    let san = SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(StringMatcher { match_pattern: Some(identity), ignore_case: false }),
        ..Default::default()
    };
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: vec![san],
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(secret(TRUST_SECRET)),
        ..Default::default()
    };
    CommonTlsContext {
        tls_params: Some(parameters()),
        tls_certificate_sds_secret_configs: vec![secret(WORKLOAD_SECRET)],
        alpn_protocols: alpn.iter().map(|&protocol| protocol.to_owned()).collect(),
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..Default::default()
    }
}

/// A minimum alone fails: the maximum of Envoy's client side is TLS 1.2 (`TlsParameters.tls_maximum_protocol_version`).
fn parameters() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv13.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ecdh_curves: vec!["X25519MLKEM768".to_owned(), "X25519".to_owned()],
        ..Default::default()
    }
}

fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads()) }
}

fn socket(context: Any) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(context)),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn context<T: Message + Default>(socket: TransportSocket) -> T {
        let Some(ConfigType::TypedConfig(any)) = socket.config_type else { panic!("no configuration") };
        T::decode(&*any.value).unwrap()
    }

    fn wanted(common: &CommonTlsContext) -> MatchPattern {
        let Some(ValidationContextType::CombinedValidationContext(combined)) = &common.validation_context_type else {
            panic!("no combined validation");
        };
        assert_eq!(combined.validation_context_sds_secret_config.as_ref().unwrap().name, TRUST_SECRET);
        let sans = &combined.default_validation_context.as_ref().unwrap().match_typed_subject_alt_names;
        assert_eq!(sans.len(), 1);
        assert_eq!(sans[0].san_type(), SanType::Uri);
        sans[0].matcher.clone().unwrap().match_pattern.unwrap()
    }

    #[test]
    fn a_client_demands_the_exact_account_and_offers_what_it_is_told() {
        let account = Account::new("shop", "cart");
        let socket =
            upstream(&MeshConfig::default(), &account, "p80.cart.shop.svc.cluster.local", &["byrnie-http", "h2"]);
        let context: UpstreamTlsContext = context(socket);
        let common = context.common_tls_context.unwrap();
        assert_eq!(wanted(&common), MatchPattern::Exact("spiffe://cluster.local/ns/shop/sa/cart".to_owned()));
        assert_eq!(common.alpn_protocols, ["byrnie-http", "h2"]);
        assert_eq!(common.tls_params.unwrap().tls_maximum_protocol_version(), TlsProtocol::TlSv13);
        assert_eq!(context.sni, "p80.cart.shop.svc.cluster.local");
    }

    #[test]
    fn a_server_demands_a_certificate_of_its_own_trust_domain() {
        let mesh = MeshConfig { trust_domain: "byrnie.test".parse().unwrap(), ..Default::default() };
        let context: DownstreamTlsContext = context(downstream(&mesh, &["h2"]));
        assert_eq!(context.require_client_certificate, Some(BoolValue { value: true }));
        // With the slash: `byrnie.test.evil` is another domain.
        let prefix = MatchPattern::Prefix("spiffe://byrnie.test/".to_owned());
        assert_eq!(wanted(&context.common_tls_context.unwrap()), prefix);
    }
}
