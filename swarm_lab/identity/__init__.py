"""Who a node is: SVIDs, mutual TLS and the issuer of the dev swarm."""
