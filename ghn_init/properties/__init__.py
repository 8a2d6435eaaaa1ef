"""What the embedding of an architecture tells of it."""

from ghn_init.properties.embedding import Network, NodeEmbeddings, embed, graph_of, node_embeddings
from ghn_init.properties.errors import PropertyError
from ghn_init.properties.features import SIZE_FEATURES, size_features
from ghn_init.properties.predictor import PropertyPredictor
from ghn_init.properties.validation import CrossValidation, FeatureScores, cross_validate

__all__ = [
    "SIZE_FEATURES",
    "CrossValidation",
    "FeatureScores",
    "Network",
    "NodeEmbeddings",
    "PropertyError",
    "PropertyPredictor",
    "cross_validate",
    "embed",
    "graph_of",
    "node_embeddings",
    "size_features",
]
