"""scikit-learn's promises, kept by any system over pairs."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_predict, cross_val_score

import mmalign
from mmalign import InputError, MissingModalityClassifier, MissingModalityRegressor, Pairs

N, T = 60, 5
PEOPLE = np.arange(N) // 5
QUICK = {"model": {"width": 8, "least": 100}, "train": {"epochs": 8, "lr": 2e-2, "batch_size": 16}, "random_state": 0}
CLASSES = np.array(["run", "sit", "walk"])[np.arange(N) % 3]
SCORES = np.arange(N) % 3 * 2.5


def pairs(seed=0, groups=PEOPLE):
    """The class shows in the visible sequence; every third victim is absent."""
    draw = np.random.default_rng(seed)
    visible = draw.normal(size=(N, T, 2)) + 2 * (np.arange(N) % 3)[:, None, None]
    victim = draw.normal(size=(N, T, 3))
    victim[::3] = np.nan
    return Pairs(visible, victim, groups=groups)


def classifier(**changes):
    """mm-align-plus with short stages, or another system, which has none."""
    other = {"model": {"width": 8}} if "system" in changes else {}
    return MissingModalityClassifier(**{**QUICK, **other, **changes})


@pytest.fixture(scope="module")
def trained():
    return classifier().fit(pairs(), CLASSES)


@pytest.mark.slow
def test_class_names_go_in_and_come_out(trained):
    assert trained.classes_.tolist() == ["run", "sit", "walk"]
    assert trained.score(pairs(1), CLASSES) > 0.9
    chances = trained.predict_proba(pairs(1))
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (trained.classes_[chances.argmax(1)] == trained.predict(pairs(1))).all()
    assert trained.system_.spec.class_names == ("run", "sit", "walk")


@pytest.mark.slow
@pytest.mark.parametrize("labels", [np.arange(N) % 3 + 4, np.arange(N) % 2 == 0, [*CLASSES], pd.Series(CLASSES)])
def test_classes_may_be_numbers_truths_lists_and_columns(labels):
    model = classifier(system="single").fit(pairs(), labels)
    assert model.predict(pairs()).dtype == model.classes_.dtype
    assert {*model.predict(pairs()).tolist()} <= {*np.asarray(labels).tolist()}


@pytest.mark.slow
@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA])
def test_pairs_without_a_label_are_used_and_never_scored(nothing):
    labels = CLASSES.astype(object)
    labels[np.arange(N) % 2 == 0] = nothing
    model = classifier().fit(pairs(), labels)
    assert model.classes_.tolist() == ["run", "sit", "walk"]
    assert model.score(pairs(), labels) == model.score(pairs()[1::2], CLASSES[1::2])
    scores = np.where(np.arange(N) % 2 == 0, np.nan, SCORES)
    assert MissingModalityRegressor(**QUICK).fit(pairs(), scores).score(pairs(), scores) > 0.5
    with pytest.raises(InputError, match="none of the labels is known"):
        model.fit(pairs(), np.full(N, None))


@pytest.mark.slow
def test_any_splitter_goes_with_groups_and_searches_go_over_settings():
    scores = cross_val_score(classifier(system="single"), pairs(), CLASSES, groups=PEOPLE, cv=GroupKFold(3))
    assert len(scores) == 3 and scores.mean() > 0.8
    told = cross_val_predict(
        classifier(system="single"), pairs(), CLASSES, cv=StratifiedKFold(3), method="predict_proba"
    )
    assert told.shape == (N, 3)
    search = GridSearchCV(classifier(system="double"), {"system": ["single", "zero-fill"]}, cv=2).fit(pairs(), CLASSES)
    assert search.best_params_["system"] in ("single", "zero-fill")


@pytest.mark.slow
def test_labels_may_be_missing_in_a_cross_validation():
    labels = CLASSES.astype(object)
    labels[::4] = None
    scores = cross_val_score(classifier(system="single"), pairs(), labels, groups=PEOPLE, cv=GroupKFold(3))
    assert scores.mean() > 0.8


def test_people_are_never_on_both_sides_of_the_validation(monkeypatch):
    seen = {}
    monkeypatch.setattr("mmalign.estimators.fit", lambda system, data, *rest, **more: seen.update(data=data))
    classifier().fit(pairs(), CLASSES)
    sides = [{*PEOPLE[getattr(seen["data"], part).batch.ids].tolist()} for part in ("train", "valid")]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == len({*PEOPLE})
    classifier().fit(pairs(groups=None), CLASSES, groups=PEOPLE)
    assert {*PEOPLE[seen["data"].train.batch.ids].tolist()} == sides[0]


@pytest.mark.slow
def test_the_same_random_state_gives_the_same_answers_and_another_other_ones():
    first, again, other = (
        classifier(random_state=seed).fit(pairs(), CLASSES).predict_proba(pairs(1)) for seed in (3, 3, 4)
    )
    assert (first == again).all() and not (first == other).all()


@pytest.mark.slow
def test_a_clone_has_the_parameters_and_not_the_training(trained):
    twin = clone(trained)
    assert twin.get_params() == trained.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(pairs())
    twin.set_params(system="copy", model={"width": 4})
    assert twin.system == "copy" and trained.system == "mm-align-plus"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MissingModalityClassifier, MissingModalityRegressor])
def test_a_saved_estimator_answers_as_before(kind, tmp_path):
    labels = CLASSES if kind is MissingModalityClassifier else SCORES
    model = kind(**QUICK).fit(pairs(), labels)
    model.save(tmp_path / "model.safetensors")
    again = kind.restore(tmp_path / "model.safetensors")
    assert (again.predict(pairs(1)) == model.predict(pairs(1))).all()
    assert again.get_params() == {**model.get_params(), "random_state": None}
    system = mmalign.MMAlignPlus.restore(tmp_path / "model.safetensors")  # the file of a system as well
    assert (
        mmalign.predict(system, pairs(1)[0]).tolist()
        == again.predict(pairs(1)[0]).astype("f4" if labels is SCORES else "U4").tolist()
    )
    other = {MissingModalityClassifier, MissingModalityRegressor} - {kind}
    with pytest.raises(InputError, match=f"holds {kind.__name__}, expected"):
        other.pop().restore(tmp_path / "model.safetensors")


def test_a_model_that_no_estimator_saved_is_no_estimator(tmp_path):
    quick = classifier(system="single", train={"epochs": 1})
    quick.fit(pairs(), CLASSES).system_.save(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="holds no estimator: read it with its system's restore"):
        MissingModalityClassifier.restore(tmp_path / "model.safetensors")


@pytest.mark.slow
def test_setting_a_never_reads_a_victim_outside_training():
    model = classifier(setting="A").fit(pairs(), CLASSES)
    assert (model.predict_proba(pairs(1)) == model.predict_proba(pairs(1).without_victim())).all()
    assert not (classifier().fit(pairs(), CLASSES).predict_proba(pairs(1)[1]) == model.predict_proba(pairs(1)[1])).all()


def test_systems_that_learn_from_whole_pairs_say_so_and_others_do_without():
    alone = pairs().without_victim()
    with pytest.raises(InputError, match="none of 60 pairs has its victim, and mm-align learns from whole ones"):
        classifier(system="mm-align").fit(alone, CLASSES)
    assert classifier(system="single").fit(alone, CLASSES).score(alone, CLASSES) > 0.8


def test_what_does_not_fit_is_refused():
    for given, says in (
        ((pairs(), None), "requires y to be passed"),
        ((pairs(), CLASSES[:-1]), "inconsistent numbers of samples"),
        ((pairs(), np.full(N, "sit")), "found one class: sit"),
    ):
        with pytest.raises(ValueError, match=says):
            classifier().fit(*given)
    with pytest.raises(InputError, match="validation must be a share"):
        classifier(validation=1.5).fit(pairs(), CLASSES)
    with pytest.raises(InputError, match="unknown system 'mm'"):
        classifier(system="mm").fit(pairs(), CLASSES)


# ---- scikit-learn's own checks ----------------------------------------------------------------------------

CHECKS = runpy.run_path(str(Path(__file__).parents[1] / "book/checks.py"))


@pytest.fixture(scope="module")
def told():
    return CHECKS["told"]()


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKS["ESTIMATORS"])
def test_the_checks_of_scikit_learn_hold(told, kind):
    ours = {name: row[kind.__name__][0] for name, row in told.items() if kind.__name__ in row}
    assert {name for name, status in ours.items() if status == "skipped"} <= {"check_array_api_input"}
    assert {name for name, status in ours.items() if status == "xfail"} == {*CHECKS["FAILING"]}
    assert "failed" not in ours.values() and [*ours.values()].count("passed") > 45


@pytest.mark.slow
def test_the_page_of_checks_is_what_they_say(told):
    assert CHECKS["PAGE"].read_text(encoding="utf-8") == CHECKS["page"](told), "run: python book/checks.py"


# ---- what is not what it was -------------------------------------------------------------------------------


FEW = {**QUICK, "model": {"width": 8}, "train": {"epochs": 2}, "system": "single"}


def frames(columns=("x", "y")):
    return [pd.DataFrame(one, columns=["x", "y"])[[*columns]] for one in pairs().visible]


def test_columns_in_another_order_are_refused_also_by_a_model_from_a_file(tmp_path):
    sequences = classifier(**FEW).fit(Pairs(frames()), CLASSES)
    table = pd.DataFrame(np.stack([one[0] for one in pairs().visible]), columns=["x", "y"])
    rows = classifier(**FEW).fit(table, CLASSES)
    for model, right, wrong in (
        (sequences, Pairs(frames()), Pairs(frames(("y", "x")))),
        (rows, table, table[["y", "x"]]),
    ):
        model.save(tmp_path / "model.safetensors")
        for one in (model, MissingModalityClassifier.restore(tmp_path / "model.safetensors")):
            assert (one.predict(right) == model.predict(right)).all()
            with pytest.raises(ValueError, match=r"same order|built for visible x,y"):
                one.predict(wrong)


def test_a_model_of_sequences_takes_no_window_for_a_table():
    model = classifier(**FEW).fit(pairs(), CLASSES)
    with pytest.raises(InputError, match="this model was trained on sequences: one window"):
        model.predict(pairs().visible[0])
    assert len(model.predict(pairs().visible[0][None])) == 1


def test_lists_in_lists_are_sequences():
    nested = [one.tolist() for one in pairs().visible]
    model = classifier(**FEW).fit(nested, CLASSES)
    assert (model.predict(nested) == model.predict(pairs().visible)).all()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda model: model.predict(pairs()[:0]), "no pairs were given to answer for"),
        (lambda model: model.score(pairs(), [None] * N), "none of the labels is known"),
        (
            lambda model: MissingModalityRegressor(**FEW).fit(pairs(), np.r_[np.inf, SCORES[1:]]),
            "found inf at sample 0",
        ),
    ],
)
def test_nothing_to_answer_nothing_to_compare_and_infinite_scores_are_refused(trained, asked, says):
    with pytest.raises(InputError, match=says):
        asked(trained)
