"""Licensing: signed license files in, leases for nodes out.

There is no vendor. A license is a token signed by a key that this machine trusts: its own, made when the first
community license is, or another's, named at `license install --issuer`. Who may write this user's files can therefore
issue any license: licensing keeps order between people who agree to it, as seats are shared and run out, and is no
protection against the owner of the machine.
"""

from swarm_lab.licensing.desk import check_seats, release_seats

__all__ = ["check_seats", "release_seats"]
