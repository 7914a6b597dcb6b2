//! Names and requests, as agents write them.

/// The name of a host.
pub fn host(n: usize) -> String {
    format!("host{n:06}")
}

/// A closure of a host.
pub fn closure(n: usize, letter: char) -> String {
    format!("/nix/store/{}-nixos-system-{}", letter.to_string().repeat(32), host(n))
}

fn stamp(millis: u64) -> serde_json::Value {
    serde_json::json!({ "wall": "2026-01-01T00:00:00.000Z", "boot": "load", "uptimeMs": millis })
}

/// A heartbeat with nothing new.
pub fn heartbeat(n: usize) -> String {
    let body = serde_json::json!({
        "hostname": host(n), "agentVersion": "load", "journalId": format!("{n:032x}"), "lastSeq": 0,
        "now": stamp(1000), "runningClosure": closure(n, 'a'), "bootedClosure": closure(n, 'a'),
        "defaultClosure": closure(n, 'a'), "rollouts": [],
    });
    request("POST", "/v1/agent/heartbeat", Some(n), &body.to_string())
}

/// A batch of new events.
pub fn events(n: usize, round: u64, batch: usize) -> String {
    let one = |i: usize| {
        let seq = round * batch as u64 + i as u64 + 1;
        let letter = if seq.is_multiple_of(2) { 'c' } else { 'd' };
        let seen = serde_json::json!({ "running": closure(n, letter) });
        let event = serde_json::json!({ "kind": "closureObserved", "closures": seen });
        serde_json::json!({ "seq": seq, "rolloutId": "load@1", "attempt": 1, "at": stamp(1000 + seq), "event": event })
    };
    let list: Vec<_> = (0..batch).map(one).collect();
    let body = serde_json::json!({ "hostname": host(n), "journalId": format!("{n:032x}"), "events": list });
    request("POST", "/v1/agent/events", Some(n), &body.to_string())
}

/// A long poll that is answered late.
pub fn poll(n: usize) -> String {
    request("GET", "/v1/agent/dispatch?wait=60&seen=none", Some(n), "")
}

/// Any request, with the name of the host that plain HTTP needs.
pub fn request(method: &str, path: &str, n: Option<usize>, body: &str) -> String {
    let name = n.map(|n| format!("x-convoy-host: {}\r\n", host(n))).unwrap_or_default();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{name}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}
