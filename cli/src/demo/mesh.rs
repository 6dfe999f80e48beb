//! The objects of the demo mesh, and who runs where.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::kind::{self, Choice, Kind};

/// The file whose edit moves the split.
pub const ROUTE_FILE: &str = "cart-route.yaml";
/// The namespace of the demo.
pub const NAMESPACE: &str = "shop";

/// The service that the route of [`ROUTE_FILE`] splits.
pub const VERSIONED: &str = "cart";

const FILES: [(&str, &str); 6] = [
    ("namespace.yaml", include_str!("mesh/namespace.yaml")),
    ("services.yaml", include_str!("mesh/services.yaml")),
    (PODS_FILE, include_str!("mesh/pods.yaml")),
    (ROUTE_FILE, include_str!("mesh/cart-route.yaml")),
    ("catalog-policy.yaml", include_str!("mesh/catalog-policy.yaml")),
    ("peer-policy.yaml", include_str!("mesh/peer-policy.yaml")),
];
const PODS_FILE: &str = "pods.yaml";
const WRITTEN_NET: &str = "127.0.1.";
const ADMIN: u16 = 15000;
const INBOUND: u16 = 15080;
const APPLICATION: u16 = 15081;
const UPSTREAMS: [u16; 2] = [15101, 15102];
const CONTROL_PLANE: u8 = 1;

/// A Pod of the demo, as the objects describe it.
#[derive(Clone, Copy, Debug)]
pub struct Pod {
    /// Its name.
    pub name: &'static str,
    host: u8,
    calls: &'static [&'static str],
    /// Whether it fails in bursts.
    pub failing: bool,
}

const fn pod(name: &'static str, host: u8, calls: &'static [&'static str]) -> Pod {
    Pod { name, host, calls, failing: false }
}

impl Pod {
    /// The services that its application calls.
    pub fn calls(self) -> &'static [&'static str] {
        self.calls
    }

    /// Whether its application calls others.
    pub fn calls_others(self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether its application calls this service, or a version of it.
    pub fn does_call(self, service: &str) -> bool {
        self.calls.iter().any(|called| is_of(service, called))
    }
}

/// Whether a Pod or a version belongs to a service: `cart-v1` to `cart`.
pub fn is_of(name: &str, service: &str) -> bool {
    name.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Where the load comes from: a sidecar, and the demo itself as its application.
pub const CLIENT: Pod = pod("client", 10, &["web"]);
/// The Pods with an application of their own; who calls others stands first.
pub const APPLICATIONS: [Pod; 7] = [
    pod("web-1", 20, &["cart", "catalog"]),
    pod("web-2", 21, &["cart", "catalog"]),
    pod("cart-v1", 30, &[]),
    pod("cart-v2", 31, &[]),
    pod("catalog-1", 40, &[]),
    pod("catalog-2", 41, &[]),
    Pod { failing: true, ..pod("catalog-3", 42, &[]) },
];

/// A block of loopback addresses, `127.0.N.0/24`, held by this demo alone.
pub struct Net {
    number: u8,
    _held: TcpListener,
}

impl Net {
    /// The first block of which no address is in use.
    pub fn free() -> anyhow::Result<Self> {
        let mut last = None;
        for number in 1..=250 {
            match Self::hold(number) {
                Ok(net) => return Ok(net),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no block was tried")?)
            .context("no free block of loopback addresses in 127.0.1.0 - 127.0.250.255")
    }

    fn hold(number: u8) -> anyhow::Result<Self> {
        let bind =
            |address: SocketAddr| TcpListener::bind(address).with_context(|| format!("{address} cannot be bound"));
        let address = |host, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, number, host)), port);
        let held = bind(address(CONTROL_PLANE, ADMIN))?;
        let net = Self { number, _held: held };
        for address in [net.xds(), net.control_plane_admin()] {
            bind(address)?;
        }
        for pod in APPLICATIONS.iter().chain([&CLIENT]) {
            for port in [ADMIN, INBOUND, APPLICATION].into_iter().chain(UPSTREAMS) {
                bind(net.at(pod.host, port))?;
            }
        }
        Ok(net)
    }

    /// Where the control plane serves xDS.
    pub fn xds(&self) -> SocketAddr {
        self.at(CONTROL_PLANE, 15010)
    }

    /// Where the control plane's admin server is.
    pub fn control_plane_admin(&self) -> SocketAddr {
        self.at(CONTROL_PLANE, 15014)
    }

    /// The admin address of a Pod's sidecar.
    pub fn admin(&self, pod: Pod) -> SocketAddr {
        self.at(pod.host, ADMIN)
    }

    /// Where a Pod's application listens.
    pub fn application(&self, pod: Pod) -> SocketAddr {
        self.at(pod.host, APPLICATION)
    }

    /// Where a Pod's application finds what it calls.
    pub fn calls(&self, pod: Pod) -> Vec<(&'static str, SocketAddr)> {
        pod.calls.iter().zip(UPSTREAMS).map(|(name, port)| (*name, self.at(pod.host, port))).collect()
    }

    /// The Pod at an address.
    pub fn pod_at(&self, address: SocketAddr) -> Option<&'static str> {
        let known = APPLICATIONS.iter().find(|pod| self.at(pod.host, 0).ip() == address.ip());
        known.map(|pod| pod.name)
    }

    fn prefix(&self) -> String {
        format!("127.0.{}.", self.number)
    }

    fn at(&self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, self.number, host)), port)
    }
}

/// The directory with the objects, that the user edits.
pub struct Objects {
    /// The directory.
    pub path: PathBuf,
    /// The addresses that the objects speak of.
    pub net: Net,
    choice: Choice,
    _temporary: Option<tempfile::TempDir>,
}

impl Objects {
    /// Writes the objects to a new temporary directory, or to `directory`, where they stay. What `directory` already
    /// holds is used as it is, whatever sidecars its Pods ask for.
    pub fn prepare(directory: Option<&Path>, choice: Choice) -> anyhow::Result<Self> {
        let (path, temporary) = match directory {
            Some(path) => (path.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("byrnie-demo-").tempdir();
                let made = made.context("no temporary directory could be made")?;
                (made.path().to_owned(), Some(made))
            }
        };
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let path = fs::canonicalize(&path)?;
        let mut entries = fs::read_dir(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let net = match entries.next() {
            Some(_) => Net::hold(written_block(&path)?).with_context(|| {
                format!("{} was made for addresses that are in use (another demo?)", path.display())
            })?,
            None => {
                let net = Net::free()?;
                write(&path, &net, choice).with_context(|| format!("{} cannot be written", path.display()))?;
                net
            }
        };
        Ok(Self { path, net, choice, _temporary: temporary })
    }

    /// Which sidecar each Pod has. One whose Pod does not say is a micro-proxy.
    pub fn kinds(&self) -> anyhow::Result<BTreeMap<&'static str, Kind>> {
        let text = self.read(PODS_FILE).with_context(|| format!("{PODS_FILE} is gone"))?;
        let annotated = kind::annotated(&text).with_context(|| format!("{PODS_FILE} cannot be read"))?;
        let kind_of = |pod: Pod| {
            let kind = self.choice.kind(annotated.get(pod.name).map(String::as_str));
            Ok((pod.name, kind.with_context(|| format!("{PODS_FILE}: {}", pod.name))?))
        };
        APPLICATIONS.into_iter().chain([CLIENT]).map(kind_of).collect()
    }

    /// The text of one of its files; none where it is gone.
    pub fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path.join(file)).ok()
    }

    /// The files that are no longer what the demo writes, whatever the sidecars: edited, removed, added.
    pub fn edited(&self) -> Vec<String> {
        let ours = |text: &str| localized(text, &self.net, Choice::Mixed);
        let changed = FILES
            .iter()
            .filter(|(name, text)| self.read(name).map(|now| kind::without(&now)) != Some(kind::without(&ours(text))));
        let mut edited: Vec<String> = changed.map(|(name, _)| (*name).to_owned()).collect();
        let is_ours = |name: &String| FILES.iter().any(|(ours, _)| ours == name);
        edited.extend(self.files().unwrap_or_default().into_iter().filter(|name| !is_ours(name)));
        edited
    }

    /// The names of the files, as they are now.
    pub fn files(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| !name.starts_with('.')).collect())
    }
}

fn write(path: &Path, net: &Net, choice: Choice) -> io::Result<()> {
    FILES.iter().try_for_each(|(name, text)| fs::write(path.join(name), localized(text, net, choice)))
}

fn localized(text: &str, net: &Net, choice: Choice) -> String {
    choice.written(&text.replace(WRITTEN_NET, &net.prefix()))
}

/// The block of addresses that the Pods of an earlier demo have.
fn written_block(path: &Path) -> anyhow::Result<u8> {
    let file = path.join(PODS_FILE);
    let foreign =
        || format!("{} is not empty and holds no demo: an empty or a new directory is accepted", path.display());
    let text = fs::read_to_string(&file).with_context(foreign)?;
    let mut addresses = text.lines().filter_map(|line| line.trim().strip_prefix("podIP: ")?.parse::<Ipv4Addr>().ok());
    match addresses.next().map(|address| address.octets()) {
        Some([127, 0, number, _]) => Ok(number),
        _ => bail!("{}: no Pod has an address in 127.0.0.0/16", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory as a demo leaves it, with a block of addresses that no other test takes meanwhile.
    fn left_behind(path: &Path, block: u8, choice: Choice) {
        fs::create_dir(path).unwrap();
        write(path, &Net::hold(block).unwrap(), choice).unwrap();
    }

    #[test]
    fn two_demos_at_once_have_different_addresses_and_say_so_in_their_objects() {
        let (first, second) =
            (Objects::prepare(None, Choice::Mixed).unwrap(), Objects::prepare(None, Choice::Mixed).unwrap());
        assert_ne!(first.net.xds(), second.net.xds());
        let pods = second.read("pods.yaml").unwrap();
        assert!(pods.contains(&format!("byrnie.io/upstreams: \"{}=web.shop:80\"", second.net.calls(CLIENT)[0].1)));
        assert!(!pods.contains(&first.net.prefix()), "{pods}");
    }

    #[test]
    fn every_pod_that_runs_is_described_and_called_where_it_listens() {
        let objects = Objects::prepare(None, Choice::Mixed).unwrap();
        let (pods, net) = (objects.read("pods.yaml").unwrap(), &objects.net);
        for pod in APPLICATIONS {
            assert!(pods.contains(&format!("name: {}\n", pod.name)), "{}", pod.name);
            let (inbound, application) = (net.at(pod.host, INBOUND), net.application(pod));
            assert!(pods.contains(&format!("byrnie.io/inbound: \"{inbound}={application}\"")), "{}", pod.name);
            assert_eq!(net.pod_at(inbound), Some(pod.name));
            for (service, address) in net.calls(pod) {
                assert!(pods.contains(&format!("{address}={service}.shop:80")), "{}", pod.name);
            }
        }
    }

    #[test]
    fn the_control_plane_finds_nothing_to_complain_of_in_the_objects() {
        let objects = Objects::prepare(None, Choice::Mixed).unwrap();
        let batch = byrnie_source::read_once(&objects.path).unwrap();
        let (world, _) = byrnie_model::World::default().apply(batch.updates);
        let findings = byrnie_control_plane::findings::all(&world, &batch.findings);
        assert!(findings.is_empty(), "{findings:#?}");
        assert_eq!((world.services().count(), world.routes().count(), world.workloads().count()), (5, 1, 8));
    }

    #[test]
    fn a_directory_with_objects_is_used_as_it_is_and_an_edit_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mesh");
        left_behind(&path, 251, Choice::Mixed);
        let objects = Objects::prepare(Some(&path), Choice::Mixed).unwrap();
        let address = objects.net.xds();
        assert_eq!(objects.edited(), Vec::<String>::new());
        drop(objects);
        fs::write(path.join(ROUTE_FILE), "mine").unwrap();
        fs::write(path.join("more.yaml"), "").unwrap();
        let again = Objects::prepare(Some(&path), Choice::Mixed).unwrap();
        assert_eq!((again.net.xds(), again.read(ROUTE_FILE).as_deref()), (address, Some("mine")));
        assert_eq!(again.edited(), [ROUTE_FILE, "more.yaml"]);
        let busy = format!("{:#}", Objects::prepare(Some(&path), Choice::Mixed).err().unwrap());
        assert!(busy.contains("another demo"), "{busy}");
    }

    #[test]
    fn a_directory_of_something_else_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.txt"), "").unwrap();
        let error = format!("{:#}", Objects::prepare(Some(directory.path()), Choice::Mixed).err().unwrap());
        assert!(error.contains("holds no demo"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_mixed_demo_has_every_combination_of_sidecars_and_the_others_one() {
        let combinations = |choice| {
            let kinds = Objects::prepare(None, choice).unwrap().kinds().unwrap();
            let pairs = APPLICATIONS.into_iter().chain([CLIENT]).flat_map(|caller| {
                let called = APPLICATIONS.into_iter().filter(move |callee| caller.does_call(callee.name));
                called.map(move |callee| (caller.name, callee.name))
            });
            pairs.map(|(caller, callee)| (kinds[caller], kinds[callee])).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(combinations(Choice::Mixed).len(), 4);
        assert_eq!(combinations(Choice::Micro), [(Kind::Micro, Kind::Micro)].into());
        assert_eq!(combinations(Choice::Envoy), [(Kind::Envoy, Kind::Envoy)].into());
    }

    #[test]
    fn what_was_written_for_one_kind_can_run_with_another_and_is_no_edit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mesh");
        left_behind(&path, 252, Choice::Micro);
        let written = Objects::prepare(Some(&path), Choice::Micro).unwrap();
        assert!(!written.read(PODS_FILE).unwrap().contains("byrnie.io/proxy: envoy"));
        assert_eq!(written.edited(), Vec::<String>::new());
        drop(written);
        let again = Objects::prepare(Some(&path), Choice::Envoy).unwrap();
        assert!(again.kinds().unwrap().values().all(|kind| *kind == Kind::Envoy));
        assert_eq!(again.edited(), Vec::<String>::new());
        drop(again);
        let pods = fs::read_to_string(path.join(PODS_FILE)).unwrap();
        fs::write(path.join(PODS_FILE), pods.replacen("proxy: micro", "proxy: nginx", 1)).unwrap();
        let error = format!("{:#}", Objects::prepare(Some(&path), Choice::Mixed).unwrap().kinds().unwrap_err());
        assert!(
            error.contains("client") && error.contains("\"nginx\"") && error.contains("micro and envoy"),
            "{error}"
        );
    }
}
