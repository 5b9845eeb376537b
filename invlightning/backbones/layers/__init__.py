"""What networks share: embeddings, towers, graphs, histories, sequences."""
