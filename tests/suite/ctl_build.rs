//! `convoy release build` with a real Nix: small systems of a flake are built, compared, copied and signed. Where no
//! Nix can build, that is said and only what needs none is tried.

use crate::ctl_offline::Workshop;
use crate::process::{CONVOY, Ended, Process, run, shown};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long one build of small systems may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Builds without a sandbox, which is not to be had everywhere, and asks no cache.
const NIX_CONFIG: &str = "sandbox = false\nbuild-users-group =\nsubstituters =\n";
const FLAKE: &str = r#"{
  outputs = { self }: let
    system = name: derivation {
      inherit name;
      system = "@arch@-linux";
      builder = "/bin/sh";
      args = [ "-ec" "PATH=/usr/bin:/bin; mkdir $out; cp -r ${./systems + "/${name}"}/. $out; cat $out/fail 2>/dev/null && exit 1 || true" ];
    };
    hosts = { web1 = system "web1"; web2 = system "web2"; };
    manifest = channel: {
      schema = "convoy.release/1";
      release = "${channel}@@ref@";
      hosts = builtins.mapAttrs (_: system: { closure = "${system}"; }) hosts;
      waves = [ { name = "all"; hosts = [ "web1" "web2" ]; } ];
    };
  in {
    convoyFleet = {
      manifests = { stable = manifest "stable"; edge = manifest "edge"; };
      closures = builtins.mapAttrs (_: system: "${system}") hosts;
      nixosConfigurations = builtins.mapAttrs (_: system: { config.system.build.toplevel = system; }) hosts;
    };
  };
}"#;

/// A flake beside a key.
struct Fleet {
    workshop: Workshop,
}

impl Fleet {
    fn new() -> Self {
        let fleet = Self { workshop: Workshop::new() };
        fleet.version("1");
        fleet
    }

    /// Writes the next version: web1's service changes, web2 stays.
    fn version(&self, version: &str) {
        let arch = std::env::consts::ARCH;
        self.put("flake.nix", &FLAKE.replace("@arch@", arch).replace("@ref@", version));
        self.put("systems/web1/etc/systemd/system/page.service", &format!("[Service]\nExecStart=/page {version}\n"));
        self.put("systems/web1/reboot-triggers", &format!("{{\"kernel\":\"{version}\"}}"));
        self.put("systems/web2/nixos-version", "1");
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.workshop.dir.path().join("flake").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.workshop.path(name)
    }

    fn build(&self, more: &[&str], env: &[(&str, &str)]) -> Ended {
        let flake = format!("path:{}", self.path("flake"));
        let args = [&["release", "build", &flake, "--channel", "stable"], more].concat();
        let cache = self.path("cache");
        let all = [&[("NIX_CONFIG", NIX_CONFIG), ("XDG_CACHE_HOME", &cache)], env].concat();
        Process::start_with(CONVOY, &args, &all).ended_within(LIMIT)
    }

    /// Signs, and writes the release to a file.
    fn write(&self, out: &str, more: &[&str]) -> Ended {
        let (key, out) = (self.path("ci.key"), self.path(out));
        self.build(&[&["--no-publish", "--key", &key, "--out", &out], more].concat(), &[])
    }
}

fn fails(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), code, "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

/// Tells whether a Nix on this machine builds.
fn nix_builds() -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|at| at.join("nix").is_file()));
    let tried = found && Fleet::new().build(&["--dry-run"], &[]).code() == 0;
    if !tried {
        eprintln!("skipped: no Nix on this machine can build, so `convoy release build` is tried without one only");
    }
    tried
}

#[test]
fn without_nix_it_is_said_what_is_missing() {
    let fleet = Fleet::new();
    fails(&fleet.build(&["--dry-run"], &[("PATH", "/nowhere")]), 1, &["there is no nix on PATH", "hint: install Nix"]);
}

#[test]
fn a_fleet_is_built_compared_copied_and_signed_and_once_more_is_the_same() {
    if !nix_builds() {
        return;
    }
    let fleet = Fleet::new();
    let store = format!("file://{}", fleet.path("binary-cache"));
    let first = fleet.write("1.signed", &["--copy-to", &store]);
    assert_eq!(first.code(), 0, "{first:?}");
    assert!(first.stdout.contains("web1: new in this channel") && first.stderr.contains("[5/5] signing"), "{first:?}");
    assert!(Path::new(&fleet.path("binary-cache/nix-cache-info")).exists());
    fleet.version("2");
    let (against, key) = (fleet.path("1.signed"), fleet.path("ci.key"));
    let again = ["--against", &against, "--no-publish", "--key", &key, "--out", &fleet.path("2.signed"), "--json"];
    let second = fleet.build(&again, &[]).json();
    assert_eq!(second["against"], "stable@1");
    let web1 = &second["hosts"][0];
    assert_eq!(web1["differs"]["units"]["restarted"], serde_json::json!(["page.service"]));
    assert_eq!(web1["differs"]["reboot"], serde_json::json!(["kernel"]));
    let (download, closure) = (web1["downloadBytes"].as_u64().unwrap(), web1["closureBytes"].as_u64().unwrap());
    assert!(0 < download && download <= closure, "{web1}");
    assert_eq!((&second["hosts"][1]["downloadBytes"], second["hosts"][1]["prior"].is_string()), (&0.into(), true));
    assert_eq!(fleet.build(&again, &[]).json()["digest"], second["digest"]);
    let trust = fleet.path("trust.json");
    let verified = run(CONVOY, &["release", "verify", &fleet.path("2.signed"), "--trust", &trust]);
    assert_eq!(verified.code(), 0, "{verified:?}");
}

#[test]
fn a_dry_run_pushes_signs_and_writes_nothing() {
    if !nix_builds() {
        return;
    }
    let fleet = Fleet::new();
    let (touched, out) = (fleet.path("touched"), fleet.path("out"));
    let ended = fleet.build(&["--dry-run", "--push-hook", &format!("touch {touched}"), "--out", &out], &[]);
    assert!(ended.code() == 0 && ended.stdout.ends_with("nothing was pushed, signed or published\n"), "{ended:?}");
    assert!(!Path::new(&touched).exists() && !Path::new(&out).exists());
}

#[test]
fn whatever_fails_is_told_in_the_words_of_who_failed() {
    if !nix_builds() {
        return;
    }
    let fleet = Fleet::new();
    let flake = format!("path:{}", fleet.path("flake"));
    let env = [("NIX_CONFIG", NIX_CONFIG)];
    let ask = |more: &[&str]| {
        let args = [&["release", "build", &flake, "--dry-run"], more].concat();
        Process::start_with(CONVOY, &args, &env).ended_within(LIMIT)
    };
    fails(&ask(&["--channel", "stabel"]), 2, &["the fleet has no channel stabel", "edge, stable"]);
    fails(&ask(&[]), 2, &["more than one channel", "--channel: edge, stable"]);
    fails(&fleet.write("x", &["--push-hook", "sh -c false"]), 1, &["pushing the closures", "exit status 1"]);
    fails(&fleet.write("x", &["--copy-to", "http://127.0.0.1:1"]), 1, &["copying the closures to http://127.0.0.1:1"]);
    fleet.put("systems/web2/fail", "the page does not compile");
    fails(&fleet.build(&["--dry-run"], &[]), 1, &["building the hosts' systems", "web2"]);
    fleet.put("flake.nix", "{ outputs = { self }: { convoyFleet.manifests = throw \"host web9 is in no wave\"; }; }");
    fails(&fleet.build(&["--dry-run"], &[]), 2, &["host web9 is in no wave", "nix eval .#convoyFleet.mistakes"]);
    assert!(!Path::new(&shown(&fleet.workshop.dir.path().join("x"))).exists());
}
