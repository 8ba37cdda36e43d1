"""Parts of the front door: what the verbs need beside `Swarm` itself."""
