"""What callbacks for other frameworks are made from: `swarmlearning.client.swarm`."""
