#!/usr/bin/env python3
"""The statistics of bench/regression.py: noise does not fail it, a real loss does."""

import itertools
import math
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

from suite import paired  # noqa: E402  (the path comes first)

THRESHOLD = 0.05


def pairs(generator, count, ratio, noise, drift=0.0):
    """A machine that is noisy, and gets slower while it is measured."""
    olds, news = [], []
    for i in range(count):
        speed = 1000 * (1 + drift * i)
        olds.append(speed * math.exp(generator.gauss(0, noise)))
        news.append(speed * ratio * math.exp(generator.gauss(0, noise)))
    return olds, news


def share(times, verdict, **arguments):
    generator = random.Random(1)
    found = sum(paired.verdict(paired.compare(*pairs(generator, **arguments)), THRESHOLD) == verdict
                for _ in range(times))
    return found / times


class RatioAndLimits(unittest.TestCase):
    def test_few_pairs_have_no_limits(self):
        self.assertEqual(paired.ratio_and_limits([1, 2, 4], [3, 4, 5]), (2, None))

    def test_enough_pairs_have_them(self):
        ratio, limits = paired.ratio_and_limits([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
        self.assertAlmostEqual(ratio, 2)
        self.assertEqual(limits, "2 … 2")

    def test_a_ratio_of_nothing_is_none(self):
        self.assertEqual(paired.ratio_and_limits([1, 0], [1, 1]), (None, None))


class Places(unittest.TestCase):
    def test_limits_are_those_of_the_signed_rank_table(self):
        # One-sided 0.05 in the usual tables of Wilcoxon's signed-rank test: the largest sum that is significant.
        for count, largest in {5: 0, 6: 2, 7: 3, 8: 5, 9: 8, 10: 10, 12: 17, 15: 30}.items():
            self.assertEqual(paired.limit_place(count), largest, count)
        for count, largest in {7: 0, 8: 1, 10: 5, 15: 19}.items():
            self.assertEqual(paired.limit_place(count, paired.SURER), largest, count)

    def test_a_limit_is_wrong_as_seldom_as_it_says(self):
        # Every way to give the signs, as chance would if nothing had changed.
        sizes = [0.011, 0.023, 0.035, 0.051, 0.067, 0.083]
        wrong = 0
        for signs in itertools.product((1, -1), repeat=len(sizes)):
            news = [math.exp(sign * size) for sign, size in zip(signs, sizes)]
            wrong += paired.compare([1] * len(sizes), news).low > 1
        self.assertGreater(wrong, 0)
        self.assertLessEqual(wrong / 2 ** len(sizes), paired.UNSURE)


class Comparisons(unittest.TestCase):
    def test_equal_series_have_the_ratio_one(self):
        comparison = paired.compare([5, 6, 7, 8, 9], [5, 6, 7, 8, 9])
        self.assertEqual((comparison.ratio, comparison.low, comparison.high), (1, 1, 1))

    def test_a_constant_factor_is_found_whatever_the_machine_does_meanwhile(self):
        olds = [100, 900, 50, 400, 230]
        comparison = paired.compare(olds, [old * 1.25 for old in olds])
        for value in (comparison.ratio, comparison.low, comparison.high):
            self.assertAlmostEqual(value, 1.25)

    def test_limits_surround_the_ratio(self):
        comparison = paired.compare([10, 10, 10, 10, 10], [9, 11, 12, 10, 13])
        self.assertLess(comparison.low, comparison.ratio)
        self.assertLess(comparison.ratio, comparison.high)

    def test_swapping_the_series_inverts_the_ratio(self):
        olds, news = pairs(random.Random(2), count=9, ratio=1.1, noise=0.05)
        there, back = paired.compare(olds, news), paired.compare(news, olds)
        self.assertAlmostEqual(there.ratio * back.ratio, 1)
        self.assertAlmostEqual(there.low * back.high, 1)

    def test_one_round_that_was_disturbed_changes_little(self):
        olds = [100.0] * 9
        news = [101.0, 99.0, 100.5, 99.5, 100.0, 100.2, 99.8, 100.1, 300.0]
        self.assertLess(paired.compare(olds, news).ratio, 1.02)

    def test_what_cannot_be_compared_is_refused(self):
        for olds, news in [([1] * 5, [1] * 4), ([1] * 4, [1] * 4), ([1] * 5, [1, 1, 1, 1, 0])]:
            with self.assertRaises(ValueError):
                paired.compare(olds, news)
        with self.assertRaises(ValueError):
            paired.compare([1] * 6, [1] * 6, paired.SURER)


class Verdicts(unittest.TestCase):
    def test_noise_is_seldom_a_loss(self):
        self.assertLess(share(400, paired.LOSS, count=9, ratio=1, noise=0.05), 0.03)

    def test_noise_that_grows_over_time_is_seldom_a_loss(self):
        self.assertLess(share(400, paired.LOSS, count=9, ratio=1, noise=0.05, drift=0.05), 0.03)

    def test_a_loss_of_a_tenth_is_found(self):
        self.assertGreater(share(400, paired.LOSS, count=9, ratio=1.10, noise=0.03), 0.95)

    def test_a_loss_of_a_tenth_is_found_in_few_rounds(self):
        self.assertGreater(share(400, paired.LOSS, count=5, ratio=1.10, noise=0.02), 0.95)

    def test_a_loss_below_the_threshold_is_none_however_certain(self):
        self.assertEqual(share(50, paired.SAME, count=9, ratio=1.03, noise=0.002), 1)

    def test_a_gain_is_told(self):
        self.assertGreater(share(200, paired.GAIN, count=9, ratio=0.9, noise=0.02), 0.95)

    def test_what_may_be_chance_is_unclear(self):
        comparison = paired.compare([100] * 5, [130, 120, 70, 125, 115])
        self.assertEqual(paired.verdict(comparison, THRESHOLD), paired.UNCLEAR)


if __name__ == "__main__":
    unittest.main()
