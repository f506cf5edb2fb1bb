"""How servers are found on a network without knowing where they are: mDNS and DNS-SD."""
