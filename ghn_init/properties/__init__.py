"""What the embedding of an architecture tells of it."""

from ghn_init.properties.embedding import Network, NodeEmbeddings, embed, graph_of, node_embeddings

__all__ = ["Network", "NodeEmbeddings", "embed", "graph_of", "node_embeddings"]
