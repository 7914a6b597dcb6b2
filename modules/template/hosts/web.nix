# A web server.
{
  services.nginx = {
    enable = true;
    virtualHosts.default = {
      default = true;
      locations."/".return = "200 'hello'";
    };
  };
  networking.firewall.allowedTCPPorts = [ 80 ];
}
