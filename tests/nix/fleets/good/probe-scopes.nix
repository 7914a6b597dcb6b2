# The narrower scope replaces the whole probe: fleet, tag, channel, host, and the host's own configuration.
{
  closure,
  fakeHost,
  system,
  ...
}:
let
  unit = name: {
    kind = "unit";
    unit = "${name}.service";
  };
in
{
  ref = "scopes";
  probes = {
    fleet = unit "fleet";
    a = unit "fleet";
    b = unit "fleet";
    c = unit "fleet";
    d = unit "fleet";
  };
  tags.web.probes = {
    tag = unit "tag";
    a = unit "tag";
    b = unit "tag";
    c = unit "tag";
    d = unit "tag";
  };
  channels.stable.probes = {
    channel = unit "channel";
    b = unit "channel";
    c = unit "channel";
    d = unit "channel";
  };
  hosts = {
    web1 = {
      tags = [ "web" ];
      nixosConfiguration = fakeHost {
        closure = closure "web1";
        modules = [
          {
            services.convoy.agent.healthChecks = {
              own = unit "own";
              d = unit "own";
            };
          }
        ];
      };
      probes = {
        host = unit "host";
        c = unit "host";
        d = unit "host";
      };
    };
    other1 = system "other1" // {
      probes.fleet = {
        kind = "tcp";
        address = "127.0.0.1:22";
        mode = "disabled";
      };
    };
  };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
