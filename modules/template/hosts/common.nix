# What all hosts have in common. Disks and boot loader are an example: take those of your machines.
{
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/boot";
    fsType = "vfat";
  };
  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;

  services.openssh.enable = true;
  system.stateVersion = "26.05";

  # From `convoy init fleet --name cp1.example.org --host cp1 --host web1 --host web2 --host web3`, whose trust.json and
  # ca.pem are no secrets. Keep the rest of it out of this repository.
  services.convoy = {
    trust.file = ../trust.json;
    agent = {
      enable = true;
      settings = {
        controlPlane = "https://cp1.example.org:7600";
        ca = ../ca.pem;
      };
      # hosts/NAME.token, put there once by your own means.
      tokenFile = "/var/lib/secrets/convoy-token";
    };
  };
}
