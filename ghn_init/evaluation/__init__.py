"""The papers' evaluation of a GHN: networks with predicted weights, without training and fine-tuned."""

from ghn_init.deepnets.statistics import use_batch_statistics
from ghn_init.evaluation.accuracy import BATCH_SIZE, Score, score
from ghn_init.evaluation.compare import Comparison, Estimate, compare, finetune_networks
from ghn_init.evaluation.errors import EvaluationError
from ghn_init.evaluation.finetune import OPTIMISERS, FinetuneConfig, FinetuneSetup, RunResult
from ghn_init.evaluation.measure import Result, Setup, Start, measure
from ghn_init.evaluation.plots import write_plots
from ghn_init.evaluation.report import Report
from ghn_init.evaluation.run import evaluate_networks
from ghn_init.evaluation.subjects import (
    PAPER_SPLITS,
    NamedNetwork,
    SplitNetwork,
    Subject,
    named_networks,
    split_networks,
)
from ghn_init.evaluation.summary import Summary
from ghn_init.evaluation.tables import tables

__all__ = [
    "BATCH_SIZE",
    "OPTIMISERS",
    "PAPER_SPLITS",
    "Comparison",
    "Estimate",
    "EvaluationError",
    "FinetuneConfig",
    "FinetuneSetup",
    "NamedNetwork",
    "Report",
    "Result",
    "RunResult",
    "Score",
    "Setup",
    "SplitNetwork",
    "Start",
    "Subject",
    "Summary",
    "compare",
    "evaluate_networks",
    "finetune_networks",
    "measure",
    "named_networks",
    "score",
    "split_networks",
    "tables",
    "use_batch_statistics",
    "write_plots",
]
