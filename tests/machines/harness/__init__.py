"""Real systemd and Nix hosts on one machine, and what is asked of them."""
