# Windows that never open, and hours that are none.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1";
  channels.stable = { };
  policies.default = {
    windows = [
      {
        days = [ ];
        from = "22:00";
        minutes = 60;
      }
    ];
    waves = [
      {
        name = "all";
        select.all = true;
        windows = [
          {
            days = [
              "mon"
              "Monday"
              "mon"
            ];
            from = "24:00";
            minutes = 0;
          }
          {
            days = [ "sun" ];
            from = "9:00";
            minutes = 1441;
          }
        ];
      }
    ];
  };
}
