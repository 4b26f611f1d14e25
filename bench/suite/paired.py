"""Compares two series of measurements that were made in pairs. Pure: numbers in, a verdict out.

Each pair was measured at the same time, so what the machine did meanwhile fell on both: their ratio is steadier than
either. Of the ratios' logarithms this takes

- the estimate of Hodges and Lehmann: the median of the means of all pairs of them (each with itself too). A round in
  which something else happened moves it little, a lasting difference wholly;
- the confidence limits that belong to the signed-rank test of Wilcoxon. They are exact for any number of pairs and
  need no normal distribution, only that a pair is as likely to be off in one direction as in the other. That holds
  here, since who begins changes from round to round. Resampling (bootstrap) would be too sure of
  itself with the five to ten pairs that there is time for, and the sign test needs more of them to find as much.
"""

import dataclasses
import math
import statistics

UNSURE = 0.05  # of each limit: how often it is on the wrong side of the truth
PAIRS_MIN = 5  # with fewer no limit is as sure as that
SURER = 0.01   # where the series was chosen for looking bad; needs seven pairs


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How many times as much the second series is; `low` and `high` are its limits."""
    ratio: float
    low: float
    high: float
    pairs: int


def compare(olds, news, unsure=UNSURE):
    """Of two series of the same length, positive numbers; the n-th of one belongs to the n-th of the other."""
    if len(olds) != len(news):
        raise ValueError("the series are not pairs")
    if len(olds) < PAIRS_MIN or unsure * 2 ** len(olds) < 1:
        raise ValueError(f"{len(olds)} pairs are too few")
    if min(*olds, *news) <= 0:
        raise ValueError("a figure is not positive")
    logarithms = [math.log(new / old) for old, new in zip(olds, news)]
    means = sorted((a + b) / 2 for i, a in enumerate(logarithms) for b in logarithms[i:])
    place = limit_place(len(logarithms), unsure)
    middle = len(means) // 2
    estimate = means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
    return Comparison(math.exp(estimate), math.exp(means[place]), math.exp(means[-1 - place]), len(logarithms))


def ratio_and_limits(olds, news):
    """The ratio, and its limits as text where the pairs are enough for them; else that of the medians. None of zeros."""
    if min(*olds, *news) <= 0:
        return None, None
    if len(olds) < PAIRS_MIN:
        return statistics.median(news) / statistics.median(olds), None
    comparison = compare(olds, news)
    return comparison.ratio, f"{comparison.low:.3g} … {comparison.high:.3g}"


def limit_place(pairs, unsure=UNSURE):
    """How many of the sorted means, counted from either end, are outside the limit."""
    # In how many of the 2^pairs ways to give the ranks a sign the positive ones have each sum.
    ways = [1]
    for rank in range(1, pairs + 1):
        longer = ways + [0] * rank
        for total, count in enumerate(ways):
            longer[total + rank] += count
        ways = longer
    outside, place = 0, -1
    for count in ways:
        outside += count
        if outside > unsure * 2 ** pairs:
            return place
        place += 1
    raise AssertionError("the ways add up to all")


LOSS, GAIN, SAME, UNCLEAR = "loss", "gain", "same", "unclear"


def verdict(comparison, threshold):
    """Of a figure that is better when it is smaller. A loss is larger than `threshold` and not by chance.

    Unclear: looks like more than the threshold, and might be chance.
    """
    if comparison.ratio > 1 + threshold:
        return LOSS if comparison.low > 1 else UNCLEAR
    if comparison.ratio < 1 / (1 + threshold) and comparison.high < 1:
        return GAIN
    return SAME
