//! `byrnie-injector`: the webhook that gives Pods their sidecars, as the chart installs it.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use byrnie_injector::{Injector, Options, Settings};
use byrnie_runtime::{listen::everywhere, logs, told::told};
use byrnie_source::Access;
use clap::{Parser, builder::PossibleValuesParser};

/// The mutating admission webhook of a service mesh: gives each Pod that asks for it its sidecar.
///
/// It gets its certificate from the control plane as every workload does, and writes the roots that it is proven by into
/// the MutatingWebhookConfiguration. Several run side by side.
#[derive(Debug, Parser)]
#[command(name = "byrnie-injector", version)]
struct Arguments {
    /// The namespace of the control plane and of the injector
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value_t = Settings::default().namespace)]
    namespace: String,
    /// This Pod, whose token proves who asks for a certificate
    #[arg(long, value_name = "NAMESPACE/POD")]
    workload: String,
    /// Where the control plane serves xDS, by TLS
    #[arg(long, value_name = "HOST:PORT")]
    xds_address: String,
    /// The token of the ServiceAccount for the audience byrnie.io/ca, bound to this Pod
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The roots that the control plane is proven by, PEM
    #[arg(long, value_name = "FILE")]
    roots_file: PathBuf,
    /// A folder in memory for certificate and key, by which a restart answers while the control plane is away; others must
    /// not be able to read it [default: none]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the API server asks, by TLS [default: 15017 of all addresses, of both families where there is IPv6]
    #[arg(long, value_name = "ADDRESS", default_value_t = everywhere(15017), hide_default_value = true)]
    address: SocketAddr,
    /// Health and metrics, by plain HTTP [default: 15014 of all addresses]
    #[arg(long, value_name = "ADDRESS", default_value_t = everywhere(15014), hide_default_value = true)]
    probe_address: SocketAddr,
    /// The MutatingWebhookConfiguration that holds the roots
    #[arg(long, value_name = "NAME", default_value = "byrnie-injector")]
    webhook_configuration: String,
    /// The image of byrnie-init
    #[arg(long, value_name = "IMAGE", default_value_t = Settings::default().init_image)]
    init_image: String,
    /// The image of byrnie-proxy
    #[arg(long, value_name = "IMAGE", default_value_t = Settings::default().proxy_image)]
    proxy_image: String,
    /// The image of Envoy
    #[arg(long, value_name = "IMAGE", default_value_t = Settings::default().envoy_image)]
    envoy_image: String,
    /// When a node pulls these images
    #[arg(long, value_name = "POLICY", value_parser = PossibleValuesParser::new(["Always", "IfNotPresent", "Never"]),
          default_value_t = Settings::default().image_pull_policy)]
    image_pull_policy: String,
    /// How many seconds it goes on answering after SIGTERM, until the API server knows that it is going
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u16,
    /// The kubeconfig [default: in a Pod its ServiceAccount, else $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Form of the log on standard error; BYRNIE_LOG sets what is logged (default: info)
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    log_format: logs::Format,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("byrnie-injector: {}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    logs::init(arguments.log_format, None)?;
    // An admission is some hundred microseconds of work: one thread does, and takes less memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(Injector::build(options(arguments)).await?.serve().await?) })
}

fn options(arguments: Arguments) -> Options {
    let settings = Settings {
        namespace: arguments.namespace,
        init_image: arguments.init_image,
        proxy_image: arguments.proxy_image,
        envoy_image: arguments.envoy_image,
        image_pull_policy: arguments.image_pull_policy,
        ..Settings::default()
    };
    Options {
        access: Access { kubeconfig: arguments.kubeconfig, context: arguments.context },
        address: arguments.address,
        probe_address: arguments.probe_address,
        workload: arguments.workload,
        xds_address: arguments.xds_address,
        token_file: arguments.token_file,
        roots_file: arguments.roots_file,
        state: arguments.state,
        configuration: arguments.webhook_configuration.into(),
        drain_delay: Duration::from_secs(arguments.drain_delay.into()),
        settings,
    }
}
