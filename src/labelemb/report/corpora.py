"""Scores of the test text, compared over seeds and sentences. N sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.report.examples import LAST_TEST
from labelemb.report.experiment import Experiment, Group
from labelemb.report.metric import TEXT_METRICS, Metric
from labelemb.runs.sentences import SentenceScores, read_sentences
from labelemb.stats.crossed import FEWEST_SEEDS, CrossedInterval
from labelemb.stats.text import (
    CorpusComparison,
    Statistics,
    compare_corpora,
    corpus_interval,
    score_of,
    sentence_statistics,
)


@dataclass(frozen=True)
class GroupSentences:
    """Scores of the sentences of the test text of one method.

    Attributes:
        method: Name of the method.
        by_seed: Seed -> name of a score -> array of N sentences, as ``runs.sentences`` has it.
        outputs: Seed -> output lines; empty where there are none.
    """

    method: str
    by_seed: dict[int, SentenceScores]
    outputs: dict[int, list[str]]

    def statistics(self, score: str, seeds: Sequence[int]) -> Statistics:
        """Return the statistics of a score, (seeds, N, K)."""
        return np.stack([sentence_statistics(self.by_seed[seed][score]) for seed in seeds])


@dataclass(frozen=True)
class ScoreComparison:
    """A score of a method compared with that of the reference on the same seeds and sentences.

    Attributes:
        metric: The score.
        seeds: Seeds that both have.
        networks: Paired bootstrap over sentences and approximate randomization: what these networks show.
        methods: Interval over seeds and sentences: what the methods show; None for too few seeds.
    """

    metric: Metric
    seeds: list[int]
    networks: CorpusComparison
    methods: CrossedInterval | None


@lru_cache(maxsize=64)
def load_sentences(experiment: Experiment) -> list[GroupSentences]:
    """Return the sentence scores of each method that has them.

    Raises:
        DataError: A file is damaged, or the runs were evaluated on different sentences.
    """
    found = [sentences for group in experiment.groups.values() if (sentences := _load(group))]
    references = [_reference(scores) for one in found for scores in one.by_seed.values()]
    if any(not np.array_equal(other, references[0]) for other in references[1:]):
        raise DataError(f"{experiment.name}", "scores for the same test sentences", "other sentences")
    return found


def shared_seeds(reference: GroupSentences, other: GroupSentences) -> list[int]:
    """Return the seeds that both methods have."""
    return sorted(reference.by_seed.keys() & other.by_seed.keys())


def compare_scores(reference: GroupSentences, other: GroupSentences) -> list[ScoreComparison]:
    """Compare every score that all runs of both methods have, on the seeds they share; empty without any."""
    seeds = shared_seeds(reference, other)
    runs = [group.by_seed[seed] for group in (reference, other) for seed in seeds]
    metrics = [metric for metric in TEXT_METRICS if runs and all(metric.key in scores for scores in runs)]
    found = []
    for metric in metrics:
        before, after = (group.statistics(metric.key, seeds) for group in (reference, other))
        score = score_of(before)
        enough = len(seeds) >= FEWEST_SEEDS and before.shape[1] > 1
        methods = corpus_interval(before, after, score) if enough else None
        found.append(ScoreComparison(metric, seeds, compare_corpora(before, after, score), methods))
    return found


def compare_runs(
    reference: GroupSentences, other: GroupSentences, metric: Metric
) -> list[tuple[int, CorpusComparison]]:
    """Compare a score pair by pair of runs: seed and comparison."""
    found = []
    for seed in shared_seeds(reference, other):
        before, after = (group.statistics(metric.key, [seed]) for group in (reference, other))
        found.append((seed, compare_corpora(before, after, score_of(before))))
    return found


def _load(group: Group) -> GroupSentences | None:
    by_seed, outputs = {}, {}
    for run in group.runs:
        if scores := read_sentences(run.folder.sentences_file).get(LAST_TEST):
            by_seed[run.seed] = scores
            outputs[run.seed] = run.folder.output("test")
    return GroupSentences(group.method, by_seed, outputs) if by_seed else None


def _reference(scores: SentenceScores) -> NDArray[Any]:
    """Return what two runs must share: the lengths of the references where BLEU has them, else their number."""
    counts = [array for array in scores.values() if array.ndim == 2]
    return counts[0][:, 1] if counts else np.array(len(next(iter(scores.values()))))
