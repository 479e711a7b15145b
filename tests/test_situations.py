"""The 34 situations in which people with data of their own were stuck, each with its right answer and who proves it.

Nine were silent and wrong, eight missing, seventeen clumsy. A situation points to the tests that hold its answer; one
whose test has gone fails here. What no other file holds is tested at the end.
"""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import mmalign
from mmalign import cli

TESTS = Path(__file__).parent

SITUATIONS = {
    # ---- silent and wrong
    "test data lack a class, or hold another task, or the modalities are the other way round": (
        "classes go by name; what the model was not built for is refused",
        "own_data: a_class_that_the_test_data_lack_does_not_shift_the_others, a_class_that_the_model_does_not_know_is_"
        "named, labels_of_another_task_are_no_classes, modalities_the_other_way_round_are_refused",
    ),
    "features of 5e-13, or 1e8 away from 0": (
        "every feature that varies counts",
        "own_data: a_feature_counts_whatever_its_unit_and_its_offset, no_system_sees_an_offset",
    ),
    "a NumPy mask hides -999": ("it is absent, not -999", "own_data: what_a_numpy_mask_hides_is_not_read"),
    "a plan's cost in a loss": (
        "`value` has the exact gradient, and `cost` the same",
        "plan: the_gradient_of_the_value_is_that_of_finite_differences, the_cost_in_a_loss_has_the_"
        "gradient_of_the_value",
    ),
    "the source was edited between two sweeps": (
        "the sweep says so, and makes the runs again on demand",
        "sweep: runs_of_another_source_are_told_and_made_again_on_demand",
    ),
    "whole numbers as labels, time in the last place": (
        "asked, told",
        "own_data: whole_numbers_as_labels_must_say_what_they_are, arrays_with_time_in_the_last_place_are_told",
    ),
    "sound of -1e300 in float64": (
        "named by what it is; only the logarithm of silence becomes 0",
        "padded: the_logarithm_of_silence_becomes_0_in_audio_alone, a_spoilt_padded_pickle_is_refused",
    ),
    "the cost of a sequence against itself": (
        "at least 0",
        "plan: no_sequence_is_at_less_than_no_distance_from_itself",
    ),
    "a wide interval, an unfinished training": (
        "not resolved; train longer",
        "diagnosis: the_advice_follows_the_intervals_and_says_where_they_allow_none, training_that_ends_while_it_still_"
        "gets_better_is_told",
    ),
    # ---- missing
    "cross_val_score, clone, predict_proba": (
        "scikit-learn's own checks hold",
        "estimators: the_checks_of_scikit_learn_hold, any_splitter_goes_with_groups_and_searches_go_over_settings",
    ),
    "one new window without a label": (
        "its class name, in two milliseconds; another unit is told",
        "prediction: class_names_come_back_for_one_pair_or_many_with_and_without_victim, another_unit_than_in_training_"
        "is_told, a_single_window_takes_two_milliseconds_at_most_after_the_first",
    ),
    "ragged lists, long tables, two rates, lost frames": (
        "Pairs and windows",
        "pairs: ragged_lists_padded_arrays_tensors_and_tables_say_the_same, two_rates_are_kept_and_systems_see_the_"
        "victim_at_the_visible_steps, a_gap_is_refused_filled_or_dropped; windows: lost_rows_are_drawn_as_straight_"
        "lines_left_out_or_refused",
    ),
    "a system of one's own on workers": (
        "carried there",
        "sweep: a_system_of_ones_own_is_carried_to_processes_and_to_dask_and_known_by_its_file",
    ),
    "MMSA pickles, unequal lengths, SIMS": (
        "imported, each step of sound and sight to its word",
        "padded: sound_and_sight_are_brought_to_the_words_slice_by_slice; metrics: sentiment_is_measured_as_its_"
        "papers_do",
    ),
    "a table of systems and conditions, the cost of a grid": (
        "both are commands",
        "pivots: the_command_prints_it_for_a_paper; cost: the_command_says_how_many_how_long_and_how_it_knows",
    ),
    "NumPy and two lengths in the solver": (
        "taken",
        "plan: numpy_in_numpy_out_and_the_same_numbers",
    ),
    "Windows, a locale without UTF-8": (
        "emulated",
        "platforms: a_sweep_with_workers_needs_nothing_that_windows_lacks, a_locale_without_utf_8_changes_no_file_and_"
        "breaks_no_command",
    ),
    # ---- clumsy
    "repr of data": ("a few words", "own_data: data_are_told_in_a_few_words"),
    "impute gives hidden states": (
        "readings in their own unit, from the systems that imagine some",
        "prediction: absent_victims_are_imagined_in_their_own_shape_and_unit_and_others_stay, systems_that_imagine_no_"
        "readings_say_who_does",
    ),
    "a setting without a word of help": ("each says what it is", "settings: every_setting_says_what_it_is"),
    "the first run compiles": (
        "the seconds are no training",
        "training: waiting_for_the_compiler_is_no_training, a_fresh_installation_books_no_compiling_as_training",
    ),
    "--setting R": ("the help names it", "situations: the_help_names_every_setting_of_absence"),
    "a NaN among the labels": ("its place", "own_data: a_label_that_is_no_number_is_named_with_its_place"),
    "names as labels of a regression": ("say task=", "own_data: names_as_labels_are_classes_without_being_told"),
    "a learning rate of 100": ("it is told", "own_data: a_learning_rate_that_is_far_too_high_is_told"),
    "a web page for a data set": ("said so", "padded: a_file_that_is_something_else_is_told_what_it_is"),
    "a Git LFS pointer": ("said so", "padded: a_file_that_is_something_else_is_told_what_it_is"),
    "a gzip": ("unpack it", "padded: a_file_that_is_something_else_is_told_what_it_is"),
    "a damaged zip, a file cut off": (
        "said so",
        "padded: a_file_that_is_something_else_is_told_what_it_is, a_pickle_that_was_cut_off_is_told_so",
    ),
    "parts called dev or val, labels in a list": (
        "as good",
        "padded: other_names_of_the_parts_and_the_labels_and_lists_of_numbers_are_as_good",
    ),
    "labels that are a list, or none": ("named", "padded: a_list_is_told_that_a_dictionary_was_expected"),
    "embeddings as NumPy or of an old torch": (
        "read",
        "gate: an_embedding_is_read_in_every_form_that_torch_writes, a_pickle_of_arrays_is_as_good_as_what_torch_wrote",
    ),
    "workers=2 without a __main__ guard": (
        "told at once, and no run counts as failed",
        "sweep: a_script_without_its_guard_is_told_so_and_no_run_counts_as_failed",
    ),
    "sliders with infinite costs, or NumPy": (
        "refused with the place, before it breaks a page; taken",
        "widgets: costs_and_sequences_of_another_shape_are_refused; situations: sliders_take_numpy_and_refuse_infinity",
    ),
}


@cache
def names(file):
    tree = ast.parse((TESTS / f"test_{file}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_there_are_34():
    assert len(SITUATIONS) == 34


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_has_a_right_answer_and_tests_that_hold_it(situation):
    answer, held = SITUATIONS[situation]
    assert answer
    for part in held.split("; "):
        file, _, told = part.partition(": ")
        for name in told.split(", "):
            assert f"test_{name}" in names(file), f"tests/test_{file}.py has no test_{name}"


# ---- what stands nowhere else ------------------------------------------------------------------------------


def test_the_help_names_every_setting_of_absence(capsys):
    cli.main(["run", "--help"])
    assert "A|B|R" in capsys.readouterr().out


def test_sliders_take_numpy_and_refuse_infinity():
    from mmalign.figures import widgets

    cost = np.random.default_rng(0).random((5, 5))
    ours, theirs = (widgets.WindowSliders({"pair": one}, window=1) for one in (cost, torch.tensor(cost)))
    assert ours.cost.equal(theirs.cost)
    cost[0, 4] = np.inf  # outside a window of 1, but the slider goes on
    with pytest.raises(mmalign.InputError, match="cost of 'pair' must be finite, found inf at row 0, column 4"):
        widgets.WindowSliders({"pair": cost}, window=1)
