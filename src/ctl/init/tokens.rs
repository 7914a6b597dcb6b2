//! The hosts' first tokens and settings. The control plane gets a list without the secrets.

use crate::ctl::files::NewFile;
use crate::ctl::init::Making;
use crate::trust::token::Token;
use crate::wire::v1::release::date;
use serde_json::json;
use std::path::PathBuf;

/// Makes a token and settings for each host; returns the list for the control plane, as settings name it.
pub(super) fn make(making: &mut Making<'_>) -> anyhow::Result<Option<PathBuf>> {
    if making.args.hosts.is_empty() {
        return Ok(None);
    }
    let expires = date(making.now.plus(making.args.tokens_last.0));
    let mut list = Vec::new();
    for host in &making.args.hosts {
        let token = Token::generate(&mut making.rng);
        list.push(json!({
            "id": token.id().to_string(), "host": host.to_string(), "digest": token.digest().to_string(),
            "expires": expires,
        }));
        let settings = json!({ "host": host.to_string(), "ca": "ca.pem", "tokenFile": format!("{host}.token") });
        let file = |end: &str| making.place.file(&format!("hosts/{host}.{end}"));
        making.files.push(NewFile::secret(file("token"), token.to_text() + "\n"));
        making.files.push(NewFile::public(file("json"), format!("{settings:#}\n")));
    }
    let list = json!(list);
    making.files.push(NewFile::public(making.place.file("first-tokens.json"), format!("{list:#}\n")));
    // What verifies the control plane lies beside each host's settings, so that they go to the host together.
    let verifies = ["server-ca.pem", "ca.pem"].map(|name| making.place.file(name));
    let ca = verifies.iter().find_map(|path| making.files.iter().find(|file| file.path == *path));
    if let Some(text) = ca.map(|file| file.text.clone()) {
        making.files.push(NewFile::public(making.place.file("hosts/ca.pem"), text));
    }
    Ok(Some(PathBuf::from("first-tokens.json")))
}
