# Hosts that get nothing, too much, or something else than a system.
{
  closure,
  fakeHost,
  system,
  built,
  ...
}:
{
  ref = "1";
  hosts = {
    nothing = { };
    both = built "both" // system "both";
    path.closure = "/nix/store/web1";
    attrs.nixosConfiguration = {
      config = { };
    };
    strange.nixosConfiguration = {
      config = { };
      extendModules = _: { };
    };
    off.nixosConfiguration = fakeHost {
      closure = closure "off";
      modules = [ { services.convoy.agent.enable = false; } ];
    };
    renamed.nixosConfiguration = fakeHost {
      closure = closure "renamed";
      modules = [ { services.convoy.agent.host = "web1"; } ];
    };
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
