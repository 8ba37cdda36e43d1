"""The chain: contracts, signatures, the journal and the ledger as nodes see it."""
