# Who goes when, and what healthy means.
{
  channels.stable = { };

  hosts = {
    cp1.tags = [ "control-plane" ];
    web1.tags = [
      "web"
      "canary"
    ];
    web2.tags = [ "web" ];
    web3.tags = [ "web" ];
  };

  policies.default = {
    # How long a host must stay healthy before its new system becomes the boot default.
    soak = "5m";
    # Never more than one web server at a time, whatever the waves say.
    budgets.web = 1;
    waves = [
      {
        name = "canary";
        select.tags = [ "canary" ];
        wait = "1h";
      }
      {
        name = "web";
        select = {
          tags = [ "web" ];
          not.tags = [ "canary" ];
        };
        windows = [
          {
            days = [
              "mon"
              "tue"
              "wed"
              "thu"
            ];
            from = "20:00";
            minutes = 480;
          }
        ];
      }
      {
        name = "control-plane";
        select.tags = [ "control-plane" ];
        # `convoy rollout promote stable@… --wave 3`
        approval = true;
      }
    ];
  };

  # Every host answers on its SSH port, every web server serves a page.
  probes.ssh = {
    kind = "tcp";
    address = "127.0.0.1:22";
  };
  tags.web.probes.page = {
    kind = "http";
    url = "http://127.0.0.1/";
  };
}
