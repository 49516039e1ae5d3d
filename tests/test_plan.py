"""The plan of a run: form, names, types, and everything said before anything runs."""

import json
from pathlib import Path

import pytest

from recoverykit.batch._names import slug
from recoverykit.batch._needs import leave_out
from recoverykit.batch._parameters import read_parameters, typed_value
from recoverykit.batch.plan import (
    expand_plan,
    plan_json_schema,
    read_overrides,
    read_plan,
    select_tasks,
    stages_from,
)
from recoverykit.cli import schema_text
from recoverykit.data.contracts import OPERATION_TABLES
from recoverykit.errors import PlanError
from recoverykit.vocabulary import OperationTable

ROOT = Path(__file__).parents[1]
INJECTED = {"data": "/run/book", "reporting_date": "2026-09-30", "results_folder": "/run/results"}
SEGMENTS = ["auto | west", "mortgage | pacific"]
PLAN = """
version: 1
name: small
title: Small pack
notebooks_folder: notebooks
segment_by: [product, region]
stages:
  - {name: data, scope: portfolio, notebooks: [01_look]}
  - {name: segments, scope: segment, notebooks: [02_cure, 03_curve]}
"""
TYPED = """level: float = 0.95  # confidence level, share
n_bootstrap: int = 200  # resamples
code: str = "007"  # branch
quick: bool = False  # fewer resamples
outcomes: list[str] = ["cured"]  # outcomes shown"""


@pytest.fixture
def plan_file(tmp_path, write_notebook):
    """Return a function that writes a plan beside three notebooks and gives its path."""
    write_notebook(tmp_path / "notebooks", "01_look", segment=False)
    write_notebook(tmp_path / "notebooks", "02_cure", more=TYPED)
    write_notebook(tmp_path / "notebooks", "03_curve", more="level: float = 0.9  # level")

    def write(text=PLAN):
        path = tmp_path / "plan.yml"
        path.write_text(text)
        return path

    return write


def expanded(path, segments=SEGMENTS):
    return expand_plan(read_plan(path), segments, INJECTED)


def parameters_of(tasks, key):
    return next(task.parameters for task in tasks if task.key == key)


class TestTasks:
    def test_portfolio_notebooks_run_once_and_segment_notebooks_once_per_segment(self, plan_file):
        assert [task.key for task in expanded(plan_file())] == [
            "01_look/all",
            "02_cure/auto__west",
            "03_curve/auto__west",
            "02_cure/mortgage__pacific",
            "03_curve/mortgage__pacific",
        ]

    def test_a_task_carries_every_parameter_of_its_notebook(self, plan_file):
        assert parameters_of(expanded(plan_file()), "02_cure/auto__west") == {
            **INJECTED,
            "segment": "auto | west",
            "level": 0.95,
            "n_bootstrap": 200,
            "code": "007",
            "quick": False,
            "outcomes": ["cured"],
        }

    def test_the_special_beats_the_general(self, plan_file):
        text = PLAN.replace("03_curve]}", "03_curve], parameters: {level: 0.8}}")
        text += 'parameters: {level: 0.7, n_bootstrap: 1}\nsegment_parameters: {"auto | west": {level: 0.6}}\n'
        tasks = expanded(plan_file(text))
        assert parameters_of(tasks, "02_cure/auto__west")["level"] == 0.6
        assert parameters_of(tasks, "02_cure/mortgage__pacific")["level"] == 0.8
        assert parameters_of(tasks, "02_cure/mortgage__pacific")["n_bootstrap"] == 1
        assert "n_bootstrap" not in parameters_of(tasks, "03_curve/auto__west")

    def test_notebooks_are_found_relative_to_the_plan(self, plan_file, tmp_path):
        assert expanded(plan_file())[0].path == str(tmp_path.resolve() / "notebooks" / "01_look.ipynb")

    def test_a_selection_of_segments_leaves_out_what_speaks_of_the_whole_book(self, plan_file):
        tasks = expanded(plan_file())
        assert [t.key for t in select_tasks(tasks, segments=["auto | west"])] == [
            "02_cure/auto__west",
            "03_curve/auto__west",
        ]
        assert [t.key for t in select_tasks(tasks, only=["01_look", "02_cure"], segments=["auto | west"])] == [
            "01_look/all",
            "02_cure/auto__west",
        ]

    def test_a_selection_names_the_nearest_notebook_and_segment(self, plan_file):
        with pytest.raises(PlanError, match=r"(?s)'02_cure'\?.*'auto \| west'\?"):
            select_tasks(expanded(plan_file()), only=["02_cur"], segments=["auto | wst"])


STAGED = (
    PLAN
    + """
  - {name: groups, scope: segment_group, notebooks: [02_cure], after: [data]}
  - {name: sum, scope: portfolio, notebooks: [03_curve], after: [groups, segments]}
"""
)


class TestDependencies:
    def test_a_stage_comes_after_all_above_it_unless_it_says_which(self, plan_file, tmp_path):
        text = STAGED.replace("03_curve], after", "04_sum], after")
        path = plan_file(text)
        (tmp_path / "notebooks" / "04_sum.ipynb").write_bytes((tmp_path / "notebooks" / "01_look.ipynb").read_bytes())
        after = {task.stage: task.after for task in expanded(path)}
        assert after == {
            "data": (),
            "segments": ("data",),
            "groups": ("data",),
            "sum": ("data", "segments", "groups"),  # "data" through the two others
        }

    def test_a_stage_that_stands_below_or_nowhere_is_an_error_with_the_nearest(self, plan_file):
        text = PLAN.replace("notebooks: [01_look]}", "notebooks: [01_look], after: [segments]}")
        with pytest.raises(PlanError, match="stage 'data': no stage 'segments' stands above it; there are none"):
            expanded(plan_file(text))
        text = PLAN.replace("03_curve]}", "03_curve], after: [dat]}")
        with pytest.raises(PlanError, match="no stage 'dat' stands above it; did you mean 'data'"):
            expanded(plan_file(text))

    def test_from_a_stage_means_that_stage_and_what_rests_on_it(self, plan_file):
        plan = read_plan(plan_file(STAGED))
        assert stages_from(plan, "") == set()
        assert stages_from(plan, "groups") == {"groups", "sum"}
        assert stages_from(plan, "data") == {"data", "segments", "groups", "sum"}
        with pytest.raises(PlanError, match="no stage 'group'; did you mean 'groups'"):
            stages_from(plan, "group")


class TestOverrides:
    def test_what_stands_on_the_command_line_goes_before_the_plan_in_the_type_of_the_parameter(self, plan_file):
        path = plan_file(PLAN + 'segment_parameters: {"auto | west": {level: 0.6}}\n')
        texts = read_overrides(["level=0.5", "code=007", "quick=true", "outcomes=cured,repaid", "n_bootstrap=3"])
        tasks = expand_plan(read_plan(path), SEGMENTS, INJECTED, overrides=texts)
        given = parameters_of(tasks, "02_cure/auto__west")
        assert given["level"] == parameters_of(tasks, "03_curve/mortgage__pacific")["level"] == 0.5
        assert (given["code"], given["quick"], given["n_bootstrap"]) == ("007", True, 3)
        assert given["outcomes"] == ["cured", "repaid"]
        assert given["segment"] == "auto | west"

    @pytest.mark.parametrize(
        ("item", "said"),
        [
            ("levle=0.5", "no notebook of the plan has a parameter 'levle'; did you mean 'level'?"),
            ("n_bootstrap=2.5", "02_cure, parameter 'n_bootstrap': '2.5' is no int"),
            ("level=nan", "02_cure, parameter 'level': 'nan' is no float"),
            ("quick=1", "'1' is no bool; write true or false"),
            ("segment=x", "command line: 'segment' is set by the run itself"),
            ("db_password=x", "looks like a secret"),
            ("code=postgresql://me:pw@host/db", "looks like a secret"),
        ],
    )
    def test_each_is_checked_as_the_plan_is(self, plan_file, item, said):
        with pytest.raises(PlanError) as caught:
            expand_plan(read_plan(plan_file()), SEGMENTS, INJECTED, overrides=read_overrides([item]))
        assert said in str(caught.value)

    def test_another_form_and_a_name_given_twice_are_errors(self):
        with pytest.raises(
            PlanError, match=r"(?s)2 problems.*'level' is not of the form name=value.*'a' is given twice"
        ):
            read_overrides(["level", "a=1", "a=2"])


GROUPED = PLAN + "  - {name: groups, scope: segment_group, notebooks: [02_cure]}\n"


class TestGroups:
    def test_a_notebook_by_group_runs_once_for_each_value_of_the_first_segment_column(self, plan_file):
        tasks = expanded(plan_file(GROUPED), [*SEGMENTS, "mortgage | west"])
        assert [t.key for t in tasks if t.stage == "groups"] == ["02_cure/auto", "02_cure/mortgage"]
        assert parameters_of(tasks, "02_cure/mortgage")["segment"] == "mortgage"

    def test_a_group_has_parameters_of_its_own_and_can_be_selected(self, plan_file):
        tasks = expanded(plan_file(GROUPED + "segment_parameters: {mortgage: {level: 0.5}}\n"))
        assert parameters_of(tasks, "02_cure/mortgage")["level"] == 0.5
        assert parameters_of(tasks, "02_cure/mortgage__pacific")["level"] == 0.95
        assert [t.key for t in select_tasks(tasks, segments=["mortgage"])] == ["02_cure/mortgage"]

    def test_a_group_that_is_a_segment_already_would_overwrite_its_results(self, plan_file):
        with pytest.raises(PlanError, match="notebook '02_cure' would run twice for 'auto'"):
            expanded(plan_file(GROUPED), ["auto", "mortgage"])

    def test_parameters_of_a_group_need_a_notebook_by_group(self, plan_file):
        with pytest.raises(PlanError, match="no segment 'mortgage'"):
            expanded(plan_file(PLAN + "segment_parameters: {mortgage: {level: 0.5}}\n"))


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "written", "value"),
        [
            ("code", '"0042"', "0042"),  # papermill's command line would make 42 of it
            ("code", "2026-09-30", "2026-09-30"),  # YAML makes a date of it
            ("level", "1", 1.0),
            ("quick", "true", True),
            ("outcomes", "[cured, repaid]", ["cured", "repaid"]),
            ("outcomes", "[]", []),
        ],
    )
    def test_a_value_reaches_the_notebook_in_the_type_of_its_parameter(self, plan_file, name, written, value):
        tasks = expanded(plan_file(PLAN + f"parameters: {{{name}: {written}}}\n"))
        given = parameters_of(tasks, "02_cure/auto__west")[name]
        assert given == value
        assert type(given) is type(value)

    @pytest.mark.parametrize(
        ("name", "written", "said"),
        [
            ("code", "007", "7 is an int, a str is wanted; put it in quotes"),
            ("code", "no", "False is a bool, a str is wanted; put it in quotes"),
            ("n_bootstrap", "true", "True is a bool, an int is wanted"),
            ("n_bootstrap", "2.0", "2.0 is a float, an int is wanted"),
            ("level", '"0.9"', "'0.9' is a str, a float is wanted"),
            ("level", ".nan", "nan is not a finite number"),
            ("quick", "1", "1 is an int, a bool is wanted"),
            ("outcomes", "cured", "'cured' is a str, a list[str] is wanted"),
            ("outcomes", "[1]", "1 is an int, a str is wanted"),
        ],
    )
    def test_a_value_of_another_type_is_an_error_before_anything_runs(self, plan_file, name, written, said):
        with pytest.raises(PlanError) as caught:
            expanded(plan_file(PLAN + f"parameters: {{{name}: {written}}}\n"))
        assert f"02_cure, parameter {name!r}: {said}" in str(caught.value)

    def test_a_problem_that_every_segment_shares_is_said_once(self, plan_file):
        with pytest.raises(PlanError, match="1 problem in the plan"):
            expanded(plan_file(PLAN + "parameters: {n_bootstrap: x}\n"))

    def test_typed_value_widens_but_never_narrows(self):
        assert typed_value(3, "float") == 3.0
        with pytest.raises(ValueError, match="int is wanted"):
            typed_value(3.0, "int")


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            (PLAN.replace("03_curve", "03_curves"), "no notebook '03_curves' in"),
            (PLAN.replace("03_curve", "03_curves"), "did you mean '03_curve'?"),
            (
                PLAN + "parameters: {levle: 0.9}\n",
                "no notebook of the plan has a parameter 'levle'; did you mean 'level'?",
            ),
            (
                PLAN.replace("03_curve]}", "03_curve], parameters: {n_bootstrap: 9}}"),
                "stage 'segments': 03_curve has no parameter 'n_bootstrap'",
            ),
            (
                PLAN + 'segment_parameters: {"auto | wst": {level: 0.5}}\n',
                "no segment 'auto | wst'; did you mean 'auto | west'?",
            ),
            (
                PLAN + 'segment_parameters: {"auto | west": {lvel: 0.5}}\n',
                "no notebook by segment has a parameter 'lvel'; did you mean 'level'?",
            ),
            (PLAN.replace("03_curve", "02_cure"), "notebook '02_cure' stands twice"),
            (PLAN.replace("name: segments", "name: data"), "stage 'data' stands twice"),
            (PLAN + "parameters: {reporting_date: 2026-06-30}\n", "'reporting_date' is set by the run itself"),
        ],
    )
    def test_each_is_an_error_that_names_the_nearest(self, plan_file, changed, said):
        with pytest.raises(PlanError) as caught:
            expanded(plan_file(changed))
        assert said in str(caught.value)

    def test_all_problems_are_said_at_once(self, plan_file):
        text = PLAN.replace("03_curve", "03_curves") + 'parameters: {levle: 1}\nsegment_parameters: {"x": {}}\n'
        with pytest.raises(PlanError, match="3 problems"):
            expanded(plan_file(text))

    def test_a_segment_or_group_that_bears_the_name_of_the_whole_book_is_refused(self, plan_file):
        with pytest.raises(PlanError, match="a segment or group is named 'all', as the whole book is"):
            expanded(plan_file(), segments=["all", "auto"])
        with pytest.raises(PlanError, match="is named 'all'"):
            expanded(plan_file(GROUPED), segments=["all | west", "auto | west"])
        assert expanded(plan_file(PLAN.replace("[product, region]", "[]")), segments=["all"])

    def test_a_plan_by_segment_needs_a_segment_with_data(self, plan_file):
        with pytest.raises(PlanError, match="no segment holds a default episode"):
            expanded(plan_file(), segments=[])

    @pytest.mark.parametrize(
        "line",
        [
            "db_password: x",
            "api_token: x",
            "database_url: x",
            "level: 'postgresql://me:pw@host/db'",
            "outcomes: [cured, 'postgresql://me:pw@host/db']",
        ],
    )
    def test_a_parameter_that_looks_like_a_secret_is_refused(self, plan_file, line):
        with pytest.raises(PlanError, match="looks like a secret"):
            expanded(plan_file(PLAN + f"parameters: {{{line}}}\n"))


class TestForm:
    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            (PLAN.replace("segment_by:", "segmented_by:"), "unknown key 'segmented_by'; did you mean 'segment_by'?"),
            (PLAN.replace("scope: portfolio", "scpe: portfolio"), "unknown key 'stages.0.scpe'; did you mean 'scope'?"),
            (
                PLAN.replace("scope: portfolio", "scope: book"),
                "stages.0.scope: Input should be 'portfolio', 'segment_group' or 'segment'",
            ),
            (PLAN.replace("title: Small pack\n", ""), "key 'title' is missing"),
            (PLAN.replace("version: 1", "version: 2"), "version: "),
            (PLAN.replace("name: small", "name: Small Pack"), "name: "),
            (PLAN + "parameters: {level: {a: 1}}\n", "is no parameter value"),
            (PLAN + "name: other\n", "key 'name' stands twice"),
            ("- just\n- a list\n", "holds no keys"),
            ("a: [", "cannot be read"),
            ("", "holds no keys"),
        ],
    )
    def test_a_wrong_form_is_said_with_its_place(self, plan_file, changed, said):
        with pytest.raises(PlanError) as caught:
            read_plan(plan_file(changed))
        assert said in str(caught.value)

    def test_a_missing_plan_is_a_plan_error(self, tmp_path):
        with pytest.raises(PlanError, match="cannot be read"):
            read_plan(tmp_path / "none.yml")


class TestParametersCell:
    def test_help_and_unit_stand_behind_the_default(self, plan_file, tmp_path):
        plan_file()
        level = read_parameters(tmp_path / "notebooks" / "02_cure.ipynb")["level"]
        assert (level.type, level.default, level.help) == ("float", 0.95, "confidence level, share")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("a = 1  # no type", "is not of the form"),
            ("a: int = 1 + x  # derived", "parameter 'a'"),
            ("a: str | None = None  # dotted", r"type str \| None is not one of"),
            ("a: int = 1.5  # wrong default", "1.5 is a float"),
            ("a: int = (  # open", "parameters cell, line 5"),
        ],
    )
    def test_a_line_of_another_form_is_an_error(self, tmp_path, write_notebook, line, said):
        with pytest.raises(PlanError, match=said):
            read_parameters(write_notebook(tmp_path, "x", more=line))

    def test_a_notebook_without_parameters_cell_is_an_error(self, tmp_path):
        path = tmp_path / "x.ipynb"
        path.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        with pytest.raises(PlanError, match="0 cells tagged 'parameters'"):
            read_parameters(path)

    def test_a_file_that_is_no_notebook_is_an_error(self, tmp_path):
        path = tmp_path / "x.ipynb"
        path.write_text("no json")
        with pytest.raises(PlanError, match="cannot be read as a notebook"):
            read_parameters(path)

    def test_a_notebook_must_take_what_the_run_sets(self, plan_file, write_notebook, tmp_path):
        write_notebook(tmp_path / "notebooks", "02_cure", segment=False)
        with pytest.raises(PlanError, match="02_cure has no parameter 'segment', which the run sets"):
            expanded(plan_file())


class TestSlugs:
    def test_plain_names_keep_their_looks(self):
        assert slug("credit_card | new-england") == "credit_card__new-england"

    def test_names_that_would_meet_in_one_folder_are_kept_apart(self):
        # Case, blanks and separators all vanish in a folder name; a plain name never holds a dot.
        names = ["new york", "New York", "new-york", "new/york", "new_york", "a__b", "a | b", "ne\u0301w york", ""]
        assert len({slug(name).lower() for name in names}) == len(names)

    @pytest.mark.parametrize("name", ["con", "../up", "a" * 300, ".", "a:b", "a | ", "x\x00y"])
    def test_no_name_leaves_its_folder_or_breaks_a_file_system(self, name):
        made = slug(name)
        assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.")
        assert made not in {"con", ".", ".."}
        assert len(made) <= 100


class TestShippedFiles:
    def test_the_shipped_schema_is_the_current_one(self):
        shipped = (ROOT / "data_samples" / "schemas" / "plan.schema.json").read_text(encoding="utf-8")
        assert shipped == schema_text(plan_json_schema()), "run `recoverykit schema`"

    def test_the_quarterly_plan_is_a_valid_plan(self):
        plan = read_plan(ROOT / "notebooks" / "plans" / "quarterly.yml")
        of_loans = [(stage.name, stage.scope) for stage in plan.stages if not stage.needs]
        assert of_loans == [
            ("data", "portfolio"),
            ("book", "portfolio"),
            ("segments", "segment"),
            ("groups", "segment_group"),
            ("provision", "portfolio"),
            ("governance", "portfolio"),
        ]
        assert {stage.scope for stage in plan.stages if stage.needs} == {"portfolio"}
        assert Path(plan.notebooks_folder) == ROOT / "notebooks"


class TestStagesThatTheDataCannotFill:
    NEEDY = PLAN.replace("02_cure, 03_curve]}", "02_cure, 03_curve], needs: [actions, court]}")

    def left(self, path, tables):
        plan = read_plan(path)
        return leave_out(plan, expand_plan(plan, SEGMENTS, INJECTED), tables)

    def test_a_stage_runs_where_its_tables_are_there(self, plan_file):
        tasks, left_out = self.left(plan_file(self.NEEDY), {"actions", "court", "promises"})
        assert len(tasks) == 5
        assert left_out == []

    def test_a_stage_whose_tables_lack_is_left_out_and_says_which_and_what(self, plan_file):
        tasks, left_out = self.left(plan_file(self.NEEDY), {"actions"})
        assert [task.key for task in tasks] == ["01_look/all"]
        assert [str(stage) for stage in left_out] == [
            "segments: the data hold no table court, so 02_cure, 03_curve did not run"
        ]
        _, both = self.left(plan_file(self.NEEDY), {})
        assert "the data hold no tables actions, court, so" in str(both[0])

    def test_a_stage_without_needs_always_runs(self, plan_file):
        tasks, left_out = self.left(plan_file(), set())
        assert (len(tasks), left_out) == (5, [])

    def test_what_is_left_out_is_checked_all_the_same(self, plan_file):
        text = self.NEEDY.replace("needs:", "parameters: {levle: 0.8}, needs:")
        with pytest.raises(PlanError, match="has no parameter 'levle'"):
            self.left(plan_file(text), set())

    def test_a_plan_of_which_nothing_is_left_is_refused_with_the_reason(self, plan_file):
        text = self.NEEDY.replace("notebooks: [01_look]", "notebooks: [01_look], needs: [promises]")
        with pytest.raises(PlanError, match=r"nothing is left to run .* no table promises, so 01_look did not run"):
            self.left(plan_file(text), {"actions"})

    def test_a_need_that_is_no_table_of_the_unit_is_told_with_its_place(self, plan_file):
        with pytest.raises(PlanError, match=r"stages\.1\.needs\.1: .*'instalments', .* or 'turnover'"):
            read_plan(plan_file(self.NEEDY.replace("court", "courts")))

    def test_the_tables_that_can_be_needed_are_those_of_the_contract(self):
        assert [table.value for table in OperationTable] == list(OPERATION_TABLES)

    @pytest.mark.parametrize("name", ["daily", "quarterly"])
    def test_a_notebook_needs_no_more_in_one_plan_than_in_the_other(self, name):
        plan = read_plan(ROOT / "notebooks" / "plans" / f"{name}.yml")
        tasks, left_out = leave_out(plan, expand_plan(plan, SEGMENTS, INJECTED), ("instalments", "actions"))
        assert "11_war_room" in {task.notebook for task in tasks}
        assert "before_due" in {stage.stage for stage in left_out}

    def test_a_bank_without_a_log_gets_the_quarterly_pack_of_its_loans(self):
        plan = read_plan(ROOT / "notebooks" / "plans" / "quarterly.yml")
        tasks, left_out = leave_out(plan, expand_plan(plan, SEGMENTS, INJECTED), ())
        assert {stage.stage for stage in left_out} == {stage.name for stage in plan.stages if stage.needs}
        left = {name for stage in left_out for name in stage.notebooks}
        assert {"13_unit_scorecards", "14_court"} <= left
        assert not {task.notebook for task in tasks} & left
        assert {"01_data_quality", "05_provision", "15_responsible_use"} <= {task.notebook for task in tasks}
