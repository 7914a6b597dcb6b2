# Promise 4: what a key outside of the trust file signed is refused, by the control plane and by the host itself.
parts: {
  nodes = parts.nodes { web1.next = parts.harmless; };
  testScript =
    { nodes, ... }:
    let
      target = parts.target nodes.web1 "next";
      release = parts.manifest "1" { web1 = target; } { };
    in
    parts.script nodes ''
      start_fleet()
      before = running(web1)
      publish("${release}", key="mallory", status=4)
      assert running(web1) == before

      # A captured control plane believes the forger; the host does not.
      cp.succeed("cp --dereference /etc/convoy/trust.json /root/forged.json")
      cp.succeed("convoy keygen other --out /root/other --trust /root/forged.json")
      cp.succeed("mount --bind /root/forged.json /etc/convoy/trust.json")
      cp.succeed("chmod 0644 /root/forged.json && systemctl restart convoy-cp.service")
      cp.wait_for_open_port(7600)
      convoy("release publish --manifest ${release} --key /root/other/other.key")
      cp.sleep(60)
      assert running(web1) == before, "the host ran what its own trust file does not verify"
      assert default(web1) == before
    '';
}
