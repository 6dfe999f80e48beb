//! One stream on the wire.

use std::{fs, future::Future, path::Path, pin::Pin};

use byrnie_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
    aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{Dialling, LinkError};
use crate::{
    counters::Counters,
    settings::{CONNECT_LIMIT, Settings},
};

/// The largest response: Byrnie cuts at 256 KiB, others do not.
const RESPONSE_LIMIT: usize = 64 * 1024 * 1024;

/// What a connection proves and is proven by, as the files say now.
pub(super) struct Credentials {
    pub endpoint: Endpoint,
    pub authorization: Option<MetadataValue<Ascii>>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<DeltaDiscoveryResponse>>, Status>> + Send>>;

/// The responses of a stream that may not be accepted yet.
pub(super) enum Responses {
    /// Some servers accept only when they have something to say, so this is no reason to give up.
    Opening(Opening),
    Open(Streaming<DeltaDiscoveryResponse>),
}

/// Reads the files, which are small and change: tokens and roots are renewed while the process runs.
pub(super) fn credentials(settings: &Settings, endpoint: &Endpoint) -> Result<Credentials, LinkError> {
    let mut endpoint = endpoint.clone();
    if let Some(path) = &settings.roots {
        let tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)).domain_name(settings.host());
        endpoint = endpoint.tls_config(tls).map_err(|source| LinkError::Roots { path: path.clone(), source })?;
    }
    let authorization = settings.token.as_deref().map(authorization).transpose()?;
    Ok(Credentials { endpoint, authorization })
}

fn authorization(path: &Path) -> Result<MetadataValue<Ascii>, LinkError> {
    let wrong = |what| LinkError::Token { path: path.to_owned(), what };
    let text = String::from_utf8(read(path)?).map_err(|_| wrong("it is no text"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(wrong("it is empty"));
    }
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {token}").parse().map_err(|_| wrong("it has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    fs::read(path).map_err(|source| LinkError::File { path: path.to_owned(), source })
}

/// TCP and TLS.
pub(super) async fn connect(dialling: Dialling, address: String) -> Result<Channel, LinkError> {
    match timeout(CONNECT_LIMIT, dialling).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(source)) => Err(LinkError::Connect { address, source }),
        Err(_) => Err(LinkError::TooSlow { address, limit: CONNECT_LIMIT }),
    }
}

impl Responses {
    pub fn open(
        channel: Channel,
        requests: mpsc::Receiver<DeltaDiscoveryRequest>,
        authorization: Option<MetadataValue<Ascii>>,
    ) -> Self {
        let mut request = Request::new(ReceiverStream::new(requests));
        if let Some(authorization) = authorization {
            request.metadata_mut().insert("authorization", authorization);
        }
        let mut ads = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(RESPONSE_LIMIT);
        Self::Opening(Box::pin(async move { ads.delta_aggregated_resources(request).await }))
    }

    /// The next response. May be dropped and called again.
    pub async fn next(&mut self, counters: &Counters) -> Result<DeltaDiscoveryResponse, LinkError> {
        loop {
            match self {
                Self::Opening(opening) => {
                    let response = opening.await.map_err(LinkError::Stream)?;
                    counters.connected();
                    *self = Self::Open(response.into_inner());
                }
                Self::Open(stream) => {
                    return stream.message().await.map_err(LinkError::Stream)?.ok_or(LinkError::Ended);
                }
            }
        }
    }
}
