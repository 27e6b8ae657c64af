"""Ridge regression against closed forms, and folds that keep groups together."""

import numpy as np

from nmjax.training.spectral_fit.ridge import fit_ridge, group_folds, held_out_residuals

RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((200, 5))


def test_without_penalty_it_is_least_squares():
    targets = RNG.standard_normal((200, 3))
    centered = INPUTS - INPUTS.mean(axis=0)
    intercept, slope = fit_ridge(centered, targets, 1e-12)
    design = np.concatenate([centered, np.ones((200, 1))], axis=1)
    expected = np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(slope, expected[:-1], atol=1e-9)
    np.testing.assert_allclose(intercept, expected[-1], atol=1e-9)


def test_a_large_penalty_leaves_the_mean():
    targets = INPUTS[:, 0] + 4.0
    intercept, slope = fit_ridge(INPUTS, targets, 1e9)
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    np.testing.assert_allclose(intercept, targets.mean())


def test_a_group_is_in_one_fold_only():
    groups = RNG.integers(30, size=500)
    folds = group_folds(groups)
    assert set(folds) == set(range(8))
    assert all(len(set(folds[groups == group])) == 1 for group in np.unique(groups))


def test_residuals_of_a_sample_do_not_depend_on_its_own_target():
    groups, targets = np.arange(200) // 10, INPUTS @ RNG.standard_normal(5)
    before = targets - held_out_residuals(INPUTS, targets, groups, 0.1)
    changed = targets.copy()
    changed[:10] += 100.0
    after = changed - held_out_residuals(INPUTS, changed, groups, 0.1)
    np.testing.assert_allclose(after[:10], before[:10])
    assert np.abs(after[10:] - before[10:]).max() > 0.1
