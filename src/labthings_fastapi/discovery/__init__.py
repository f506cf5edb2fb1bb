"""Discovery of servers on a network, by mDNS and DNS-SD."""
