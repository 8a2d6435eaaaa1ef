"""The papers' evaluation of a GHN: networks with predicted weights, without training and fine-tuned."""

from ghn_init.evaluation.accuracy import BATCH_SIZE, Score, accuracy, score, use_batch_statistics
from ghn_init.evaluation.predicted import evaluate, predicted_accuracies
from ghn_init.evaluation.summary import Summary

__all__ = [
    "BATCH_SIZE",
    "Score",
    "Summary",
    "accuracy",
    "evaluate",
    "predicted_accuracies",
    "score",
    "use_batch_statistics",
]
