"""License files and leases."""
