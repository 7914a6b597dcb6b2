//! What a release changes, in words.

use crate::ctl::human::{clean, closure, count};
use crate::ctl::release::build::change::{Change, Differs};
use crate::ctl::release::build::sizes::shown;
use std::fmt::Write as _;

/// Writes what changes: one line for each host, and its units below it.
#[must_use]
pub fn changes(release: &str, before: Option<&str>, changes: &[Change]) -> String {
    let unchanged = changes.iter().filter(|change| change.prior.as_ref() == Some(&change.closure)).count();
    let against = before.map_or("no release before it".to_owned(), |before| format!("against {before}"));
    let hosts = u64::try_from(changes.len()).unwrap_or(u64::MAX);
    let mut text = format!("{release}, {against}: {}, {unchanged} unchanged\n", count(hosts, "host"));
    for change in changes.iter().filter(|change| change.prior.as_ref() != Some(&change.closure)) {
        text.push_str(&host(change));
    }
    text
}

fn host(change: &Change) -> String {
    let download =
        change.download_bytes.map_or("download not known".to_owned(), |bytes| format!("download {}", shown(bytes)));
    let new = if change.prior.is_none() { "new in this channel, " } else { "" };
    let (path, size) = (closure(&change.closure), shown(change.closure_bytes));
    let mut text = format!("{}: {new}{path} ({size}), {download}\n", clean(&change.host));
    match (&change.differs, &change.prior) {
        (Some(differs), _) => text.push_str(&difference(differs)),
        (None, Some(prior)) => {
            let _ = writeln!(text, "  not compared: {} is neither in the store nor in a cache", closure(prior));
        }
        (None, None) => {}
    }
    text
}

fn difference(differs: &Differs) -> String {
    let units = &differs.units;
    let lists = [
        ("stopped", &units.stopped),
        ("restarted", &units.restarted),
        ("reloaded", &units.reloaded),
        ("started", &units.started),
        ("changed, left running", &units.kept),
        ("reboot needed", &differs.reboot),
        ("no live switch", &differs.inhibitors),
    ];
    let told = lists.iter().filter(|(_, names)| !names.is_empty());
    let mut text: String = told.map(|(what, names)| format!("  {what}: {}\n", clean(&names.join(", ")))).collect();
    if differs.systemd {
        text.push_str("  systemd is started anew in place\n");
    }
    if text.is_empty() { "  no unit changes\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use crate::ctl::release::build::change::{Change, Differs};
    use crate::ctl::release::build::told::changes;
    use crate::ctl::release::build::units::Fates;

    #[test]
    fn each_host_says_what_happens_on_it() {
        let path = |name: &str| format!("/nix/store/{}-{name}", "a".repeat(32));
        let change = |host: &str, prior: Option<&str>| Change {
            host: host.to_owned(),
            closure: path("new"),
            closure_bytes: 2048,
            prior: prior.map(path),
            download_bytes: Some(1024),
            differs: None,
        };
        let units = Fates { restarted: vec!["a.service".into(), "b.service".into()], ..Fates::default() };
        let (reboot, inhibitors) = (vec!["kernel".into()], Vec::new());
        let differs = Some(Differs { units, reboot, inhibitors, systemd: false });
        let all = [
            Change { differs, ..change("web1", Some("old")) },
            change("web2", Some("new")),
            change("web3", None),
            Change { download_bytes: None, ..change("web4", Some("old")) },
        ];
        assert_eq!(
            changes("stable@2", Some("stable@1"), &all),
            "stable@2, against stable@1: 4 hosts, 1 unchanged\n\
             web1: aaaaaaa…-new (2.0 KiB), download 1.0 KiB\n  \
               restarted: a.service, b.service\n  reboot needed: kernel\n\
             web3: new in this channel, aaaaaaa…-new (2.0 KiB), download 1.0 KiB\n\
             web4: aaaaaaa…-new (2.0 KiB), download not known\n  \
               not compared: aaaaaaa…-old is neither in the store nor in a cache\n"
        );
    }
}
