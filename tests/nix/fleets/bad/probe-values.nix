# Probes with values that could never pass, at every scope.
{ system, ... }:
{
  ref = "1";
  hosts.web1 = system "web1" // {
    tags = [ "web" ];
    probes = {
      http = {
        kind = "http";
        url = "ftp://example.org";
        expectStatus = [ 99 ];
        interval = "2d";
        timeout = "soon";
      };
      "a probe" = {
        kind = "unit";
        unit = "nginx";
      };
    };
  };
  channels.stable.probes.tcp = {
    kind = "tcp";
    address = "localhost";
  };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  tags.web.probes.exec = {
    kind = "exec";
    program = "true";
  };
  probes.reach = {
    kind = "reach";
    addresses = [
      "10.0.0.1:0"
      "[::1]:65536"
    ];
  };
}
