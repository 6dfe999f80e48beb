//! HAProxy, by files: HTTP/2 with multiplexing between the two, as in the mesh.
//!
//! Its buffers are 32 KiB: with the 16 KiB of its default big bodies cost a fifth more, with 64 KiB a thousand connections
//! half as much memory again. Splicing is off, which gained nothing on loopback.

use std::{fmt::Write, fs, net::SocketAddr};

use anyhow::Result;

use super::{
    Launch, Places, Plan, Ready,
    certificates::{self, SERVER},
    entrance, installed,
};
use crate::load::Application;

pub fn plan(workers: usize, application: Application) -> Result<Plan> {
    let program = installed("haproxy")?;
    let folder = tempfile::tempdir()?;
    certificates::write(folder.path())?;
    let places = Places::new();
    let place = folder.path().to_string_lossy();
    let launch = |name: &str, text: String, ready: SocketAddr| {
        let file = folder.path().join(format!("{name}.cfg"));
        fs::write(&file, text)?;
        let arguments = vec!["-db".to_owned(), "-f".to_owned(), file.to_string_lossy().into_owned()];
        let log = folder.path().join(format!("{name}.log"));
        anyhow::Ok(Launch { program: program.clone(), arguments, ready: Ready::Accepts(ready), log })
    };
    let client = launch("client", client(workers, &places, application, &place), places.pair[0])?;
    let server = launch("server", server(workers, &places, application, &place), places.server[0])?;
    let (pair, hop) = (entrance(&places.pair, true), entrance(&places.hop, true));
    Ok(Plan { client, server, pair, hop, folder, _mesh: None })
}

fn global(workers: usize) -> String {
    format!(
        "global
  nbthread {workers}
  maxconn 4000
  tune.bufsize 32768
  tune.h2.max-concurrent-streams 256
  tune.h2.initial-window-size 262144
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves X25519
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  http-reuse always
  retries 2
  option redispatch
  balance random(2)
"
    )
}

/// One frontend and the backend behind it; `listen` and `servers` are what stands behind `bind` and `server NAME`.
fn offer(text: &mut String, name: &str, mode: &str, listen: &str, headers: &str, servers: &[String]) {
    let _ = write!(
        text,
        "frontend {name}\n  mode {mode}\n  bind {listen}\n{headers}  default_backend to-{name}\nbackend to-{name}\n  mode {mode}\n"
    );
    for (number, server) in servers.iter().enumerate() {
        let _ = writeln!(text, "  server s{number} {server}");
    }
}

fn client(workers: usize, places: &Places, application: Application, folder: &str) -> String {
    let tls = |alpn: &str| {
        format!("ssl verify required ca-file {folder}/roots.pem crt {folder}/client.pem sni str({SERVER}) {alpn}")
    };
    let multiplexed = tls("alpn h2");
    let headers =
        "  http-request del-header x-forwarded-client-cert\n  http-request set-header x-forwarded-proto http\n";
    let [http, grpc, bytes] = places.server;
    let mut text = global(workers);
    offer(&mut text, "http", "http", &places.pair[0].to_string(), headers, &[format!("{http} {multiplexed}")]);
    let listen = format!("{} proto h2", places.pair[1]);
    offer(&mut text, "grpc", "http", &listen, headers, &[format!("{grpc} {multiplexed}")]);
    offer(&mut text, "bytes", "tcp", &places.pair[2].to_string(), "", &[format!("{bytes} {}", tls(""))]);
    let Application { http, grpc, bytes } = application;
    offer(&mut text, "plain-http", "http", &places.hop[0].to_string(), headers, &[http.to_string()]);
    let listen = format!("{} proto h2", places.hop[1]);
    offer(&mut text, "plain-grpc", "http", &listen, headers, &[format!("{grpc} proto h2")]);
    offer(&mut text, "plain-bytes", "tcp", &places.hop[2].to_string(), "", &[bytes.to_string()]);
    for (number, (listen, endpoints)) in places.others.iter().enumerate() {
        let servers: Vec<_> = endpoints.iter().map(|endpoint| format!("{endpoint} {multiplexed}")).collect();
        offer(&mut text, &format!("other-{number}"), "http", &listen.to_string(), headers, &servers);
    }
    text
}

fn server(workers: usize, places: &Places, application: Application, folder: &str) -> String {
    let listen = |at: SocketAddr, alpn: &str| {
        format!("{at} ssl crt {folder}/server.pem ca-file {folder}/roots.pem verify required {alpn}")
    };
    let headers = "  http-request set-header x-forwarded-client-cert Subject=%[ssl_c_s_dn]\n";
    let [http, grpc, bytes] = places.server;
    let mut text = global(workers);
    let alpn = "alpn h2,http/1.1";
    offer(&mut text, "http", "http", &listen(http, alpn), headers, &[application.http.to_string()]);
    let h2c = format!("{} proto h2", application.grpc);
    offer(&mut text, "grpc", "http", &listen(grpc, alpn), headers, &[h2c]);
    offer(&mut text, "bytes", "tcp", &listen(bytes, ""), "", &[application.bytes.to_string()]);
    text
}
