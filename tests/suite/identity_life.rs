//! The life of a host's identity with real processes: from an empty directory to a converged host, renewal, recovery
//! after its end, revocation, and a server certificate that changes under it.

use crate::process::{CONVOY, PATIENCE, run, shown, until};
use crate::site::{HOST, Site, replace};
use convoy::client::http::HttpTransport;
use convoy::client::{ClientError, Request, send_json};
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::trust::tls::{self, Credentials};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The life of a host's certificate here, in seconds: half of it is enough for one start of an agent.
const LIFE: u64 = 12;

fn quick() -> Value {
    json!({ "testing": true, "heartbeatIntervalMs": 300 })
}

#[test]
fn from_an_empty_directory_to_a_converged_host_takes_two_commands_there_and_one_on_the_host() {
    let mut site = Site::init(&quick());
    site.start_plane();
    site.carry_to_the_host();
    site.start_host();
    let target = site.closure("new");
    site.converge("stable@1", &target);
    let verbs =
        |typed: &[String]| typed.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(verbs(&site.typed_there), ["init", "run"], "typed on the control plane");
    assert_eq!(verbs(&site.typed_on_the_host), ["run"], "typed on the host");
    let settings = shown(&site.on_host("web1.json"));
    assert_eq!(site.typed_on_the_host, [format!("run --config {settings}")]);
}

#[test]
fn a_host_renews_at_half_life_and_recovers_with_its_old_key_after_the_end() {
    let mut quick = quick();
    quick["agentCertificateSecs"] = json!(LIFE);
    let mut site = Site::running(&quick);
    site.converge("stable@1", &site.closure("new"));
    let key = site.key();
    let (first, ends) = site.certificate();
    let (_, renewed) = until("renewal", PATIENCE, || Some(site.certificate()).filter(|(text, _)| *text != first));
    assert!(renewed > ends, "the new one ends at {renewed}, the one before at {ends}");
    assert_eq!(site.key(), key, "renewal keeps the key");
    site.switch_off();
    fs::remove_file(site.on_host("web1.token")).unwrap();
    let (last, over) = site.certificate();
    until("end of the certificate", PATIENCE, || (SystemClock.wall() > over).then_some(()));
    let before = site.heard();
    site.start_host();
    until("contact", PATIENCE, || (site.heard() > before).then_some(()));
    assert_ne!(site.certificate().0, last, "it came back with a certificate that is over");
    assert_eq!(site.key(), key, "it came back with another key");
    site.converge("stable@2", &site.closure("newer"));
}

/// Speaks as the host, with the key and certificate on its disk.
fn speak_as_the_host(site: &Site) -> Result<Value, ClientError> {
    let (certificate, key) = (site.certificate().0, site.key());
    let ca = fs::read_to_string(site.fleet().join("ca.pem")).unwrap();
    let settings = tls::client(&ca, Some(Credentials { certificate: &certificate, key: &key })).unwrap();
    let over = HttpTransport::new(&site.url, Some(settings)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nothing is published yet: what is asked for is not there, which only a host that is let in is told.
    runtime.block_on(send_json(&over, Request::get("/v1/releases/stable/0")))
}

fn code(answer: Result<Value, ClientError>) -> String {
    let refused = answer.unwrap_err();
    let ClientError::Refused { code, .. } = refused else { panic!("{refused}") };
    code
}

#[test]
fn a_revoked_host_is_out_at_the_next_request_and_a_new_token_brings_it_back() {
    let site = Site::running(&quick());
    assert_eq!(code(speak_as_the_host(&site)), "not_found");
    site.ask(&["host", "revoke", HOST, "--reason", "stolen"]);
    assert_eq!(code(speak_as_the_host(&site)), "revoked");
    let heard = site.heard();
    // The agent presses on, and is not heard.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(site.heard(), heard, "a revoked host was heard");
    let out = site.on_host("tokens");
    site.ask(&["token", "create", "--host", HOST, "--out", &shown(&out)]);
    replace(&out.join("web1.token"), &site.on_host("web1.token"));
    until("contact", PATIENCE, || (site.heard() > heard).then_some(()));
    assert_eq!(code(speak_as_the_host(&site)), "not_found");
    site.converge("stable@1", &site.closure("new"));
}

/// The certificate that the server shows now.
fn served(site: &Site) -> Vec<u8> {
    let ca = fs::read_to_string(site.fleet().join("ca.pem")).unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(tls::client(&ca, None).unwrap()), name).unwrap();
    let mut tcp = std::net::TcpStream::connect(site.url.trim_start_matches("https://")).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).unwrap();
    }
    tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_new_server_certificate_is_served_without_a_restart_and_the_agents_go_on() {
    let mut site = Site::running(&quick());
    let before = served(&site);
    let fleet = site.fleet();
    let (ca, key, out) = (shown(&fleet.join("ca.pem")), shown(&fleet.join("ca.key")), shown(&site.on_host("server")));
    let by = ["--ca-certificate", &ca, "--ca-key", &key, "--out", &out];
    let made = run(CONVOY, &[&["cert", "server", "--name", "127.0.0.1"], &by[..]].concat());
    assert_eq!(made.code(), 0, "{made:?}");
    for name in ["server.key", "server.pem"] {
        replace(&Path::new(&out).join(name), &fleet.join(name));
    }
    until("new certificate", PATIENCE, || (served(&site) != before).then_some(()));
    let heard = site.heard();
    until("contact", PATIENCE, || (site.heard() > heard).then_some(()));
    // The host's next connections meet the new certificate.
    site.switch_off();
    site.start_host();
    site.converge("stable@1", &site.closure("new"));
    assert!(site.plane.as_mut().is_some_and(|plane| plane.is_running()), "the control plane ended");
}
