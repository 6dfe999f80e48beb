//! nginx, by files. Between the two it speaks HTTP/1.1 with kept connections, or HTTP/2 for gRPC with one call at a
//! time on each: it multiplexes towards no server.

use std::{fmt::Write, fs, net::SocketAddr, path::Path};

use anyhow::{Result, ensure};

use super::{
    Launch, Places, Plan, Ready,
    certificates::{self, SERVER},
    entrance, installed,
};
use crate::load::Application;

/// Where Debian puts the module for opaque bytes.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub fn plan(workers: usize, application: Application) -> Result<Plan> {
    ensure!(workers == 1, "nginx has a process for each worker, which is not measured");
    let program = installed("nginx")?;
    let folder = tempfile::tempdir()?;
    certificates::write(folder.path())?;
    let places = Places::new();
    let launch = |name: &str, text: String, ready: SocketAddr| {
        let file = folder.path().join(format!("{name}.conf"));
        fs::write(&file, text)?;
        let [file, prefix] = [file.as_path(), folder.path()].map(|path| path.to_string_lossy().into_owned());
        let arguments = ["-e", "stderr", "-c", &file, "-p", &prefix].map(str::to_owned).to_vec();
        let log = folder.path().join(format!("{name}.log"));
        anyhow::Ok(Launch { program: program.clone(), arguments, ready: Ready::Accepts(ready), log })
    };
    let place = folder.path().to_string_lossy();
    let has_bytes = Path::new(STREAM).is_file();
    let client = launch("client", client(&places, application, &place, has_bytes), places.pair[0])?;
    let server = launch("server", server(&places, application, &place, has_bytes), places.server[0])?;
    let (pair, hop) = (entrance(&places.pair, has_bytes), entrance(&places.hop, has_bytes));
    Ok(Plan { client, server, pair, hop, folder, _mesh: None })
}

/// What stands around `http`, the servers of HTTP, and `bytes`, those of TCP.
fn file(name: &str, folder: &str, has_bytes: bool, http: &str, bytes: &str) -> String {
    let module = if has_bytes { format!("load_module {STREAM};\n") } else { String::new() };
    let bytes = if has_bytes { format!("stream {{\n{bytes}}}\n") } else { String::new() };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {folder}/{name}-{kind};\n"))
        .collect();
    format!(
        "{module}daemon off;
master_process off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr crit;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  keepalive_time 24h;
  http2_max_concurrent_streams 256;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_set_header connection \"\";
  proxy_set_header host $http_host;
  proxy_buffering off;
  proxy_request_buffering off;
  proxy_read_timeout 1h;
  proxy_buffer_size 16k;
  proxy_buffers 8 16k;
  grpc_buffer_size 16k;
{paths}{http}}}
{bytes}"
    )
}

/// TLS towards servers, by the directives of one module.
fn tls_to(module: &str, folder: &str) -> String {
    let settings = [
        ("certificate", format!("{folder}/client.pem")),
        ("certificate_key", format!("{folder}/client.pem")),
        ("trusted_certificate", format!("{folder}/roots.pem")),
        ("verify", "on".to_owned()),
        ("verify_depth", "3".to_owned()),
        ("name", SERVER.to_owned()),
        ("server_name", "on".to_owned()),
        ("protocols", "TLSv1.3".to_owned()),
        ("conf_command", "Ciphersuites TLS_AES_128_GCM_SHA256".to_owned()),
    ];
    settings.iter().map(|(name, value)| format!("  {module}_ssl_{name} {value};\n")).collect()
}

fn upstream(text: &mut String, name: &str, endpoints: &[SocketAddr]) {
    let servers: String = endpoints.iter().map(|endpoint| format!(" server {endpoint};")).collect();
    let kept = "keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; keepalive_time 24h;";
    let _ = writeln!(text, "  upstream {name} {{{servers} {kept} }}");
}

fn client(places: &Places, application: Application, folder: &str, has_bytes: bool) -> String {
    let mut http = tls_to("proxy", folder) + &tls_to("grpc", folder);
    let headers = "proxy_set_header x-forwarded-client-cert \"\"; proxy_set_header x-forwarded-proto http; \
                   proxy_set_header connection \"\"; proxy_set_header host $http_host;";
    let mut offer = |name: &str, listen: String, pass: &str, endpoints: &[SocketAddr]| {
        upstream(&mut http, name, endpoints);
        let _ = writeln!(http, "  server {{ listen {listen}; location / {{ {headers} {pass}{name}; }} }}");
    };
    let [to_http, to_grpc, to_bytes] = places.server;
    offer("http", places.pair[0].to_string(), "proxy_pass https://", &[to_http]);
    offer("grpc", format!("{} http2", places.pair[1]), "grpc_pass grpcs://", &[to_grpc]);
    offer("plain-http", places.hop[0].to_string(), "proxy_pass http://", &[application.http]);
    offer("plain-grpc", format!("{} http2", places.hop[1]), "grpc_pass grpc://", &[application.grpc]);
    for (number, (listen, endpoints)) in places.others.iter().enumerate() {
        offer(&format!("other-{number}"), listen.to_string(), "proxy_pass https://", endpoints);
    }
    let [pair, hop] = [places.pair[2], places.hop[2]];
    let bytes = format!(
        "  proxy_buffer_size 64k;\n  tcp_nodelay on;\n{}  server {{ listen {pair}; proxy_ssl on; proxy_pass {to_bytes}; }}
  server {{ listen {hop}; proxy_pass {}; }}\n",
        tls_to("proxy", folder),
        application.bytes
    );
    file("client", folder, has_bytes, &http, &bytes)
}

fn server(places: &Places, application: Application, folder: &str, has_bytes: bool) -> String {
    let tls = format!(
        "  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.pem;
  ssl_client_certificate {folder}/roots.pem;
  ssl_verify_client on;
  ssl_verify_depth 3;
  ssl_protocols TLSv1.3;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  ssl_ecdh_curve X25519;
"
    );
    let mut http = tls.clone();
    upstream(&mut http, "http", &[application.http]);
    upstream(&mut http, "grpc", &[application.grpc]);
    let [on_http, on_grpc, on_bytes] = places.server;
    let headers = "proxy_set_header x-forwarded-client-cert \"Subject=$ssl_client_s_dn\"; \
                   proxy_set_header connection \"\"; proxy_set_header host $http_host;";
    let _ = writeln!(http, "  server {{ listen {on_http} ssl; location / {{ {headers} proxy_pass http://http; }} }}");
    let _ = writeln!(http, "  server {{ listen {on_grpc} ssl http2; location / {{ grpc_pass grpc://grpc; }} }}");
    let to = application.bytes;
    let bytes = format!(
        "  proxy_buffer_size 64k;\n  tcp_nodelay on;\n{tls}  server {{ listen {on_bytes} ssl; proxy_pass {to}; }}\n"
    );
    file("server", folder, has_bytes, &http, &bytes)
}
