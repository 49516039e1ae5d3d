"""Every LGD regression refuses every kind of column that is known only after the outcome, in every part of it."""

import ast
from pathlib import Path

import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.errors import RefusedColumnError
from recoverykit.estimators import lgd_regression
from recoverykit.refused_columns import OUTCOME_RULES, RefusalClass, matching_rule

#: One column, or more, of each kind of class C.
AFTER_THE_OUTCOME = {
    "recoveries": ["recovered_amount", "recoveries", "lgd_realised", "totalRecovery"],
    "collection fees": ["collection_fee", "collections_costs"],
    "settlement": ["settlement_status", "debt_settlement_flag"],
    "hardship after default": ["hardship_flag"],
    "last payment": ["last_pymnt_d", "latest_payment"],
    "write-off": ["charged_off", "writeoff_flag"],
    "outcome or resolution time": ["outcome", "resolution_time", "months_in_default"],
}
COLUMNS = [(kind, name) for kind, names in AFTER_THE_OUTCOME.items() for name in names]
#: How a formula may hide a column.
DISGUISES = ("~ {}", "~ ltv_ratio + scale({})", "~ C({})", "~ ltv_ratio * {}", "~ np.log({})")
#: Every model with every part that takes drivers.
PARTS = [
    ("FractionalLogitModel", "formula"),
    ("BetaRegressionModel", "formula"),
    ("BetaRegressionModel", "precision"),
    ("ZeroOneInflatedBetaModel", "formula"),
    ("ZeroOneInflatedBetaModel", "zero"),
    ("ZeroOneInflatedBetaModel", "one"),
    ("ZeroOneInflatedBetaModel", "precision"),
    ("TwoStageLgdModel", "any_loss"),
    ("TwoStageLgdModel", "loss_given_loss"),
    ("CureLgdModel", "cure"),
    ("CureLgdModel", "loss_given_no_cure"),
    ("SurvivalLgdModel", "loss_given_no_cure"),
]
LISTS = [("SegmentMeanLgdModel", "segment_by"), ("BoostedLgdModel", "features")]
ESTIMATORS = Path(lgd_regression.__file__).parent


@pytest.fixture(scope="module")
def cures():
    loans = {"month": [1, 3, 6, 30, 24], "is_cured": [True, True, True, False, False], "n": [20] * 5}
    options = {"duration_col": "month", "event_col": "is_cured", "weights_col": "n"}
    return rk.MixtureCureModel().fit(pd.DataFrame(loans), **options)


def test_every_kind_of_class_c_has_a_column_here():
    assert {rule.what for rule in OUTCOME_RULES} == set(AFTER_THE_OUTCOME)
    for kind, name in COLUMNS:
        rule = matching_rule(name, (RefusalClass.OUTCOME,))
        assert rule is not None, name
        assert rule.what == kind


def test_every_lgd_model_of_the_package_is_tried():
    found = set()
    for path in ESTIMATORS.glob("*.py"):
        source = path.read_text()
        if "LgdRegressionFit" in source or "lgd_challenger" in path.name:
            classes = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
            found |= {name for name in classes if name.endswith("Model") and name != "LgdModel"}
    assert found == {name for name, _ in (*PARTS, *LISTS)}


@pytest.mark.parametrize(("model", "part"), PARTS)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_formula_with_such_a_column_is_refused(model, part, disguise, cures):
    beside = {"cure_fit": cures} if model == "SurvivalLgdModel" else {}
    for kind, name in COLUMNS:
        with pytest.raises(RefusedColumnError, match=f"class C, {kind}"):
            getattr(rk, model)(**beside, **{part: disguise.format(name)})


@pytest.mark.parametrize(("model", "part"), LISTS)
def test_a_list_with_such_a_column_is_refused(model, part):
    for kind, name in COLUMNS:
        with pytest.raises(RefusedColumnError, match=f"class C, {kind}"):
            getattr(rk, model)(**{part: ("product", name)})


def test_the_drivers_of_a_page_are_refused_before_anything_is_read(prepared_book):
    for kind, name in COLUMNS:
        with pytest.raises(RefusedColumnError, match=f"class C, {kind}"):
            rk.estimate_lgd_drivers(prepared_book, "all", policy=rk.LedgerPolicy(), drivers=["ltv_ratio", name])
