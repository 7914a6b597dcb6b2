# Mistakes in several places are told at once.
{ built, ... }:
{
  ref = "";
  hosts.web1 = built "web1" // {
    channel = "beta";
  };
  channels.stable = { };
  policies.default = {
    soak = "soon";
    waves = [
      {
        name = "all";
        select.tags = [ "web" ];
        windows = [
          {
            days = [ ];
            from = "22:00";
            minutes = 60;
          }
        ];
      }
    ];
  };
}
