//! Everything that answers proxies and other replicas.

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use byrnie_ads::{Ads, Hub, Loads};
use byrnie_ca::{Authority, Clock, Servers, SigningService};
use byrnie_identity::Account;
use byrnie_runtime::shutdown::Drain;
use rustls_pki_types::ServerName;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    cluster_names::{CONTROL_PLANE, INJECTOR, NAMESPACE},
    current::Current,
    fleet::FleetService,
    gate::{Accepted, TokenGate},
    secrets::IssuedSecrets,
    settings::{Installed, Settings, StartError},
    tls::ServerCertificate,
};

/// What streams and pages share.
#[derive(Clone)]
pub struct Shared {
    pub hub: Arc<Hub>,
    pub loads: Arc<Loads>,
    pub current: Current,
}

/// What answers, and with what it proves itself.
pub struct Services {
    ads: Ads,
    signing: SigningService,
    fleet: Option<FleetService>,
    /// Where TLS is spoken, with when to renew it.
    certificate: Option<(Arc<ServerCertificate>, SystemTime)>,
}

type Serving = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

impl Services {
    /// `fleet` makes the service between replicas, where there are some, from what knows their certificates.
    pub fn new(
        settings: &Settings,
        shared: &Shared,
        authority: &Arc<Authority>,
        clock: &Clock,
        accepted: Accepted,
        fleet: Option<impl FnOnce(TokenGate) -> FleetService>,
    ) -> Result<Self, StartError> {
        let Shared { hub, loads, current } = shared;
        let installed = settings.mode.installed();
        // Plain text never leaves the machine, and is not spoken in a cluster.
        let is_plain = installed.is_none() && settings.xds_address.ip().is_loopback();
        let own = account(installed);
        let gate =
            TokenGate::new(current.clone(), Arc::clone(authority), Arc::clone(clock), own.clone(), accepted, is_plain);
        let secrets = IssuedSecrets::new(current.clone(), Arc::clone(authority), Arc::clone(clock));
        let servers = servers(installed, &current.load().world.mesh().cluster_domain);
        let signing = SigningService::new(Arc::clone(authority), gate.clone(), Arc::clone(clock)).with_servers(servers);
        let fleet = fleet.map(|fleet| fleet(gate.clone()));
        let ads = Ads::new(Arc::clone(hub), Arc::clone(loads), gate, secrets);
        let certificate = if is_plain {
            None
        } else {
            let names =
                installed.map(|installed| names(installed, &current.load().world.mesh().cluster_domain).to_vec());
            let (authority, clock, ip) = (Arc::clone(authority), Arc::clone(clock), settings.xds_address.ip());
            Some(ServerCertificate::issue(authority, clock, own, ip, &names.unwrap_or_default())?)
        };
        Ok(Self { ads, signing, fleet, certificate })
    }

    /// Answers until draining ends.
    pub fn serve(
        self,
        xds: TcpListener,
        drain: &Drain,
    ) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, StartError> {
        let router = byrnie_ads::tuned(Server::builder()).add_routes(self.ads.routes());
        let router = router.add_service(self.signing.into_server());
        let router = router.add_optional_service(self.fleet.map(FleetService::into_server));
        let (draining, forced) = (drain.watch(), drain.watch());
        let stop = async move { draining.draining().await };
        let serving: Serving = match self.certificate {
            None => {
                // A response that waits for the ACK of the one before would come 40 ms late.
                let incoming = TcpIncoming::from(xds).with_nodelay(Some(true));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
            Some((certificate, renew_at)) => {
                let incoming = certificate.accept(xds, &drain.watch())?;
                until_draining(drain, certificate.keep(renew_at));
                Box::pin(router.serve_with_incoming_shutdown(incoming, stop))
            }
        };
        Ok(drain.spawn(async move {
            tokio::select! { done = serving => done, () = forced.forced() => Ok(()) }
        }))
    }
}

/// Who the control plane is.
pub fn account(installed: Option<&Installed>) -> Account {
    Account::new(installed.map_or(NAMESPACE, |installed| &installed.namespace), CONTROL_PLANE)
}

/// The names of its Service, the longest last.
pub fn names(installed: &Installed, cluster_domain: &str) -> [String; 4] {
    let name = |rest: &str| format!("{CONTROL_PLANE}{rest}");
    let namespace = &installed.namespace;
    [
        name(""),
        name(&format!(".{namespace}")),
        name(&format!(".{namespace}.svc")),
        name(&format!(".{namespace}.svc.{cluster_domain}")),
    ]
}

/// The workloads that an API server calls, by the names of their Services: the injector of the own namespace.
fn servers(installed: Option<&Installed>, cluster_domain: &str) -> Servers {
    let Some(Installed { namespace, .. }) = installed else { return Servers::none() };
    let service = format!("{INJECTOR}.{namespace}.svc");
    // A domain that is none gives no name; the API server calls by the short one.
    let names = [format!("{service}.{cluster_domain}"), service].into_iter();
    let names = names.filter_map(|name| ServerName::try_from(name).ok()).collect();
    Servers::none().with(Account::new(&**namespace, INJECTOR), names)
}

/// Runs what never ends by itself until draining starts.
pub fn until_draining(drain: &Drain, task: impl Future<Output = ()> + Send + 'static) {
    let watch = drain.watch();
    drop(drain.spawn(async move {
        tokio::select! { () = task => (), () = watch.draining() => () }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_injector_of_the_own_namespace_is_called_by_its_service_and_nobody_else_is() {
        let installed = Installed { namespace: "mesh".into(), pod: "a".into(), issuer: None };
        let all = servers(Some(&installed), "cluster.local");
        let names = |namespace: &str, name: &str| {
            let names = all.names_of(&Account::new(namespace, name)).iter();
            names.map(|name| name.to_str().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("mesh", INJECTOR), ["byrnie-injector.mesh.svc.cluster.local", "byrnie-injector.mesh.svc"]);
        for (namespace, name) in [("shop", INJECTOR), ("byrnie-system", INJECTOR), ("mesh", CONTROL_PLANE)] {
            assert!(names(namespace, name).is_empty(), "{namespace}/{name}");
        }
        assert_eq!(servers(None, "cluster.local"), Servers::none());
    }
}
