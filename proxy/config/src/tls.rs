//! TLS contexts, as far as the mesh uses them: keys and roots come from the proxy's own identity.

use byrnie_proto::envoy::envoy::{
    config::core::v3::{TransportSocket, transport_socket::ConfigType},
    extensions::transport_sockets::{
        raw_buffer::v3::RawBuffer,
        tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            downstream_tls_context::SessionTicketKeysType,
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
    },
    r#type::matcher::v3::string_matcher::MatchPattern,
};

use crate::{
    Refused,
    fields::{At, fields},
    value::{each, flag, from_stream},
};

/// The secret that is the proxy's own certificate.
const WORKLOAD: &str = "workload";
/// The secret that is the roots of its peers.
const TRUST: &str = "trust";
/// Key exchanges of which one has to be allowed.
const GROUPS: [&str; 2] = ["X25519MLKEM768", "X25519"];

/// `UpstreamTlsContext`. Its certificate is the secret `workload`, its roots the secret `trust`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// `sni`.
    pub server_name: Option<Box<str>>,
    /// `alpn_protocols`.
    pub alpn: Vec<Box<[u8]>>,
    /// `match_typed_subject_alt_names`, any of them.
    pub peers: Vec<PeerName>,
}

/// `DownstreamTlsContext`, with the same secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamTls {
    /// `alpn_protocols`, in the order of preference.
    pub alpn: Vec<Box<[u8]>>,
    /// `match_typed_subject_alt_names`, any of them. A client certificate is always required.
    pub peers: Vec<PeerName>,
}

/// A URI SAN that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// `exact`.
    Exact(Box<str>),
    /// `prefix`.
    Prefix(Box<str>),
}

fields! {
    TransportSocket {
        name: idle "the type of the configuration says what it is"
        ; config_type: ConfigType { TypedConfig typed_config: honoured }
    }
    RawBuffer {}
    UpstreamTlsContext {
        common_tls_context: honoured,
        sni: honoured,
        auto_host_sni: refused,
        auto_sni_san_validation: refused,
        allow_renegotiation: idle "TLS 1.3 has none",
        max_session_keys: idle "sessions are resumed or not as the proxy likes, and never after a rotation",
        enforce_rsa_key_usage: idle "certificates of the mesh are not RSA",
    }
    DownstreamTlsContext {
        common_tls_context: honoured,
        require_client_certificate: honoured "true",
        require_sni: refused,
        disable_stateful_session_resumption: refused,
        session_timeout: refused,
        ocsp_staple_policy: refused,
        full_scan_certs_on_sni_mismatch: idle "there is one certificate",
        prefer_client_ciphers: refused
        ; session_ticket_keys_type: SessionTicketKeysType {
            SessionTicketKeys session_ticket_keys: refused,
            SessionTicketKeysSdsSecretConfig session_ticket_keys_sds_secret_config: refused,
            DisableStatelessSessionResumption disable_stateless_session_resumption: refused,
        }
    }
    CommonTlsContext {
        tls_params: honoured,
        tls_certificates: refused "keys are made by the proxy itself",
        tls_certificate_sds_secret_configs: honoured "one, named `workload`",
        tls_certificate_provider_instance: refused,
        custom_tls_certificate_selector: refused,
        tls_certificate_certificate_provider: refused,
        tls_certificate_certificate_provider_instance: refused,
        alpn_protocols: honoured,
        custom_handshaker: refused,
        key_log: refused
        ; validation_context_type: ValidationContextType {
            ValidationContext validation_context: refused,
            ValidationContextSdsSecretConfig validation_context_sds_secret_config: refused,
            CombinedValidationContext combined_validation_context: honoured,
            ValidationContextCertificateProvider validation_context_certificate_provider: refused,
            ValidationContextCertificateProviderInstance validation_context_certificate_provider_instance: refused,
        }
    }
    TlsParameters {
        tls_minimum_protocol_version: honoured "TLSv1_3",
        tls_maximum_protocol_version: honoured "TLSv1_3",
        cipher_suites: idle "it does not apply to TLS 1.3",
        ecdh_curves: honoured "a list with X25519MLKEM768 or X25519",
        signature_algorithms: refused,
        compliance_policies: refused,
    }
    CombinedCertificateValidationContext {
        default_validation_context: honoured,
        validation_context_sds_secret_config: honoured "`trust`",
        validation_context_certificate_provider: refused,
        validation_context_certificate_provider_instance: refused,
    }
    CertificateValidationContext {
        trusted_ca: refused "roots are the secret `trust`",
        ca_certificate_provider_instance: refused,
        system_root_certs: refused,
        watched_directory: refused,
        verify_certificate_spki: refused,
        verify_certificate_hash: refused,
        match_typed_subject_alt_names: honoured "at least one",
        match_subject_alt_names: refused,
        require_signed_certificate_timestamp: refused,
        crl: refused,
        allow_expired_certificate: refused,
        trust_chain_verification: refused,
        custom_validator_config: refused,
        only_verify_leaf_cert_crl: refused,
        max_verify_depth: refused,
        suppress_client_ca_list: refused,
    }
    SubjectAltNameMatcher {
        san_type: honoured "URI",
        matcher: honoured "exact or prefix",
        oid: refused,
    }
    SdsSecretConfig {
        name: honoured "`workload` or `trust`",
        sds_config: honoured,
    }
}

impl PeerName {
    /// Whether `uri` is accepted.
    pub fn accepts(&self, uri: &str) -> bool {
        match self {
            Self::Exact(name) => uri == &**name,
            Self::Prefix(prefix) => uri.starts_with(&**prefix),
        }
    }

    fn read(name: &SubjectAltNameMatcher, at: &At<'_>) -> Result<Self, Refused> {
        at.check(name)?;
        if name.san_type() != SanType::Uri {
            return Err(at.field("san_type").unlike(name.san_type(), "URI"));
        }
        let at = &at.field("matcher");
        let matcher = at.required(&name.matcher)?;
        at.field("ignore_case").only(matcher.ignore_case, false)?;
        match &matcher.match_pattern {
            Some(MatchPattern::Exact(name)) => Ok(Self::Exact(at.field("exact").text(name)?.into())),
            Some(MatchPattern::Prefix(prefix)) => Ok(Self::Prefix(at.field("prefix").text(prefix)?.into())),
            other => Err(at.unlike(other, "exact or prefix")),
        }
    }
}

impl UpstreamTls {
    /// Reads the transport of a cluster; none is plain text.
    pub(crate) fn read(socket: &TransportSocket, at: &At<'_>) -> Result<Option<Self>, Refused> {
        let (any, at) = (typed(socket, at)?, &at.field("typed_config"));
        if at.unpack::<RawBuffer>(any)?.is_some() {
            return Ok(None);
        }
        let Some(context) = at.unpack::<UpstreamTlsContext>(any)? else {
            return Err(at.unknown_type(any, &["UpstreamTlsContext", "RawBuffer"]));
        };
        let Common { alpn, peers } = common(&context.common_tls_context, &at.field("common_tls_context"))?;
        let server_name = Some(context.sni).filter(|name| !name.is_empty()).map(Into::into);
        Ok(Some(Self { server_name, alpn, peers }))
    }
}

impl DownstreamTls {
    /// Reads the transport of a chain; none is plain text.
    pub(crate) fn read(socket: &TransportSocket, at: &At<'_>) -> Result<Option<Self>, Refused> {
        let (any, at) = (typed(socket, at)?, &at.field("typed_config"));
        if at.unpack::<RawBuffer>(any)?.is_some() {
            return Ok(None);
        }
        let Some(context) = at.unpack::<DownstreamTlsContext>(any)? else {
            return Err(at.unknown_type(any, &["DownstreamTlsContext", "RawBuffer"]));
        };
        at.field("require_client_certificate").only(flag(context.require_client_certificate), true)?;
        let Common { alpn, peers } = common(&context.common_tls_context, &at.field("common_tls_context"))?;
        Ok(Some(Self { alpn, peers }))
    }
}

fn typed<'m>(
    socket: &'m TransportSocket,
    at: &At<'_>,
) -> Result<&'m byrnie_proto::envoy::google::protobuf::Any, Refused> {
    at.check(socket)?;
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else {
        return Err(at.field("typed_config").refuse("missing"));
    };
    Ok(any)
}

/// What both sides have.
struct Common {
    alpn: Vec<Box<[u8]>>,
    peers: Vec<PeerName>,
}

fn common(context: &Option<CommonTlsContext>, at: &At<'_>) -> Result<Common, Refused> {
    let context = at.required(context)?;
    at.check(context)?;
    parameters(&context.tls_params, &at.field("tls_params"))?;
    let certificates = &at.field("tls_certificate_sds_secret_configs");
    match &*context.tls_certificate_sds_secret_configs {
        [only] => secret(only, WORKLOAD, &certificates.index(0))?,
        other => return Err(certificates.refuse(format!("{} secrets; accepted: one", other.len()))),
    }
    let alpn = |protocol: &String, at: &At<'_>| match protocol.len() {
        1..=255 => Ok(protocol.as_bytes().into()),
        _ => Err(at.unlike(protocol, "1 to 255 octets")),
    };
    let alpn = each(&context.alpn_protocols, &at.field("alpn_protocols"), alpn)?;
    let at = &at.field("combined_validation_context");
    let Some(ValidationContextType::CombinedValidationContext(validation)) = &context.validation_context_type else {
        return Err(at.refuse("missing"));
    };
    at.check(validation)?;
    let roots = &at.field("validation_context_sds_secret_config");
    secret(roots.required(&validation.validation_context_sds_secret_config)?, TRUST, roots)?;
    let at = &at.field("default_validation_context");
    let validation = at.required(&validation.default_validation_context)?;
    at.check(validation)?;
    let at = &at.field("match_typed_subject_alt_names");
    let peers = each(&validation.match_typed_subject_alt_names, at, PeerName::read)?;
    if peers.is_empty() {
        return Err(at.refuse("empty; accepted: at least one, so that a peer is known by its name"));
    }
    Ok(Common { alpn, peers })
}

fn parameters(parameters: &Option<TlsParameters>, at: &At<'_>) -> Result<(), Refused> {
    let parameters = at.required(parameters)?;
    at.check(parameters)?;
    let minimum = parameters.tls_minimum_protocol_version();
    let maximum = parameters.tls_maximum_protocol_version();
    for (name, version) in [("tls_minimum_protocol_version", minimum), ("tls_maximum_protocol_version", maximum)] {
        if version != TlsProtocol::TlSv13 {
            return Err(at.field(name).unlike(version.as_str_name(), "TLSv1_3"));
        }
    }
    if !parameters.ecdh_curves.iter().any(|group| GROUPS.contains(&&**group)) {
        let accepted = "a list with X25519MLKEM768 or X25519";
        return Err(at.field("ecdh_curves").unlike(&parameters.ecdh_curves, accepted));
    }
    Ok(())
}

fn secret(config: &SdsSecretConfig, name: &str, at: &At<'_>) -> Result<(), Refused> {
    at.check(config)?;
    if config.name != name {
        return Err(at.field("name").unlike(&config.name, name));
    }
    from_stream(&config.sds_config, &at.field("sds_config"))
}

#[cfg(test)]
mod tests;
