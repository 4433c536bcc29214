"""Small files as exporters write them: each is read without an option, as exactly these answers, or asks one question.

:func:`annosim.data.words.answers_in_words` says how an answer is written.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import annosim as an
from annosim.cli import main
from annosim.data.words import answers_in_words
from annosim.errors import ArgumentError, FileReadError, LayoutError, RowsError

FILES = Path(__file__).parent / "layouts"


READ = {
    "alpaca_eval.json": ("alpaca-eval", ["claude: gpt<m", "claude: gpt=m"]),
    "alpaca_eval_weighted.json": ("alpaca-eval", ["gpt>m x0.07", "gpt<m x0.93", "gpt?m"]),
    "arena_100k.jsonl": ("arena", ["arena_user_1: x<y"]),
    "arena_55k.jsonl": ("arena", ["x>y"]),
    "arena_hard.jsonl": ("arena-hard", ["gpt-4: baseline>m", "gpt-4: m=baseline"]),
    "argilla_1.jsonl": ("argilla", ["u: 4<5"]),
    "argilla_2.jsonl": ("argilla", ["u: 4>5"]),
    "argilla_choice.json": ("argilla", ["u: b>a,c", "v: a>b,c"]),
    "argilla_ranking.json": ("argilla", ["u: c>a>b"]),
    "argilla_records.json": ("argilla", ["u: b>a=c"]),
    "argilla_records_choice.jsonl": ("argilla", ["u: a<b"]),
    "argilla_records_ratings.jsonl": ("argilla", ["u: a=4 b=2", "v: a=0 b=2"]),
    "argilla_ratings.json": ("argilla", ["u: a=3 b=1", "v: a=0"]),
    "arrows.csv": ("pairs", ["x>y", "x<y", "y=x"]),
    "ballots.csv": ("places", ["v1: A>B>C", "v2: B", "v3: A>C"]),
    "best_worst.csv": ("best-worst", ["a>...>c", "d>...>b"]),
    "best_worst_places.csv": ("best-worst", ["r0: b>...>e", "r0: b>...>e", "r1: c>...>d"]),
    "both_orders.csv": ("orders", ["x>y", "y<x", "y<z", "z>y", "x>z", "z>x"]),
    "both_orders_names.csv": ("orders", ["x>y", "y<x", "y<z", "z<y", "z=x", "x<z"]),
    "excel_commas.csv": ("ratings", ["1: Tee=7", "1: Milch=4", "2: Tee=3"]),
    "excel_separator.csv": ("pairs", ["p0: Tee<Milch", "p1: Milch=Reis"]),
    "gorilla.csv": ("pairs", ["5000: tea<milk", "5001: milk>rice", "5000: tea<rice"]),
    "google_forms_questions.csv": (
        "questionnaire",
        [
            "a@b.c: gpt-4<claude",
            "a@b.c: claude>llama",
            "a@b.c: llama<gpt-4",
            "d@b.c: gpt-4>claude",
            "d@b.c: claude>llama",
            "d@b.c: llama<gpt-4",
        ],
    ),
    "latin_1.csv": ("pairs", ["Café>Tee", "Müsli<Café"]),
    "likert_words.csv": ("likert", ["R_0: tea=4 milk=2 rice=1", "R_1: tea=3 milk=4", "R_2: tea=1 milk=3 rice=0"]),
    "lm_eval_rejected.jsonl": ("lm-eval", ["a>b", "a<b", "b>a", "b<a"]),
    "mechanical_turk_json.csv": ("one-hot", ["W0: tea<milk", "W1: milk>rice"]),
    "mechanical_turk_radio.csv": (
        "one-hot",
        ["W0: tea<milk", "W1: milk>rice", "W0: tea=rice", "W1: rice<tea", "W1: rice>milk", "W2: rice?milk"],
    ),
    "mechanical_turk_radio_texts.csv": ("one-hot", ["w1: aaa<bbb", "w2: bbb>ccc"]),
    "mt_bench_unparsed.jsonl": ("ratings", [f"gpt-4, single-v1: {vote}" for vote in ("x=6", "y", "y=7", "x=2", "z=4")]),
    "otree.csv": ("pairs", ["c0: tea<milk", "c0: tea>rice", "c1: rice>milk"]),
    "places_rang.csv": ("places", ["0: rice>tea>milk", "1: tea>rice>milk"]),
    "points.csv": ("ranks", ["u: milk>rice>tea", "v: tea>milk>rice"]),
    "qualtrics_pairs.csv": (
        "questionnaire",
        ["R_0: milk<tea", "R_0: rice<tea", "R_0: milk<rice", "R_1: milk>tea", "R_1: rice>tea", "R_1: milk>rice"],
    ),
    "qualtrics_ranks.csv": ("ranks", ["R_0: tea>rice>milk", "R_1: milk>tea>rice"]),
    "ratings_words.csv": ("ratings", ["u: tea=4", "u: milk=0", "v: tea=2"]),
    "survey_monkey.csv": ("ranks", ["11: tea>rice>milk", "12: milk>tea>rice"]),
    "utf_16.txt": ("pairs", ["tea<müsli"]),
    "chosen_model.csv": ("beats", ["gpt: x>y", "gpt: z>y", "gpt: x>z"]),
    "comments.csv": ("pairs", ["tea>milk", "milk<rice"]),
    "gold_beside_labels.csv": ("pairs", ["u: x<y", "v: y>z"]),
    "likert_french.csv": ("likert", ["1: thé=4 lait=2", "2: thé=3 lait=0", "3: thé=2 lait=1"]),
    "lime_survey.csv": ("places", ["tea>milk>rice", "milk>tea>rice"]),
    "loser_named.csv": ("pairs", ["u: tea>milk", "v: milk<rice"]),
    "percent.csv": ("pairs", ["tea>milk x3", "tea<milk", "milk>rice", "milk<rice"]),
    "pipes.csv": ("pairs", ["tea>milk", "milk<rice"]),
    "prodigy.jsonl": ("prodigy", ["d-1: a0<b0", "d-1: a1>b1"]),
    "ranking_as_a_list.csv": ("ballots", ["tea>milk>rice", "milk>rice>tea"]),
    "ranking_in_a_cell.csv": ("ballots", ["v1: tea>milk=rice", "v2: milk>tea", "v3: rice>tea>milk"]),
    "ranks_99.csv": ("ranks", ["tea>milk>rice", "soup>rice>milk>tea", "milk>tea>soup>rice"]),
    "replies.jsonl": ("listed", ["b0>a0>c0", "b1>a1>c1"]),
    "responses_with_scores.jsonl": ("listed", ["b>a"]),
    "rows_of_points.csv": ("rank-rows", ["x>y", "z>y"]),
    "rows_of_sides.csv": ("long", ["x>y", "y<z"]),
    "sawtooth.csv": ("long", ["100: 1 #1<2 #1", "100: 1 #2>2 #2", "101: 1 #3<2 #3"]),
    "tennis.csv": ("beats", ["x>y", "z>y"]),
    "wins_of_ordered_pairs.csv": ("beats", ["tea>milk x3", "milk>tea", "tea>rice x0", "rice>tea x2"]),
    "arena_judge_hash.csv": ("arena", ["h1: x>y", "h2: y=x"]),
    "conjoint.csv": ("long", ["4: 1 #1>2 #1", "4: 1 #2<2 #2", "5: 1 #3>2 #3"]),
    "fastchat_words.csv": ("pairs", ["x<y", "y>z", "z=x", "x=z"]),
    "original_responses.jsonl": ("responses", ["a<b"]),
    "races.csv": ("rank-rows", ["30>10", "10>30"]),
    "top_and_bottom.csv": ("pairs", ["u: tea>milk", "v: milk<rice"]),
    "winner_in_another_case.csv": ("pairs", ["Tea>Milk", "Milk<Rice", "Rice=Tea"]),
    "a_is_worse.csv": ("pairs", ["x<y", "y>z"]),
    "eliminated.csv": ("pairs", ["u: x>y", "v: y<z", "v: x=z"]),
    "exclusive_covariates.csv": ("pairs", ["x>y", "y<z", "z>x"]),
    "first_shown.csv": ("pairs", ["x>y", "y<z"]),
    "likert_99.csv": ("likert", ["milk=1 rice=4", "tea=2 milk=0 rice=3", "tea=0 milk=4 rice=1"]),
    "prefer_a.csv": ("pairs", ["x>y", "y<z"]),
    "wins_and_losses.csv": ("tallies", ["x>y x3", "x<y", "x<z x2", "x=z"]),
    "wins_of_games.csv": ("tallies", ["x>y x3", "x<y", "y>z x2", "y<z x3"]),
    "menu_columns.csv": ("menus", ["u: milk>tea,rice", "v: rice>soup,tea"]),
    "menu_places.csv": ("menus", ["u: milk>tea,rice", "v: rice>soup"]),
    "judges_by_flags.csv": (
        "judges",
        ["gpt_a_wins: x>y", "claude_a_wins: x<y", "gpt_a_wins: y<z", "claude_a_wins: y<z"],
    ),
    "points_of_both.csv": ("pairs", ["x>y", "y<z", "z=x"]),
    "spaces.txt": ("pairs", ["u: green tea>milk", "v: milk<rice"]),
    "spanish.csv": ("pairs", ["p1: te>leche", "p2: leche=arroz"]),
    "booleans.csv": ("pairs", ["x>y", "y<x"]),
    "chess.tsv": ("pairs", ["Carlsen>Nepo", "Nepo=Carlsen", "Carlsen<Ding"]),
    "choices_long.csv": ("long", ["bus #1>car #1", "bus #2<car #2"]),
    "choices_mlogit.csv": ("choices", ["1: beach>pier #1,boat", "2: beach<pier #2"]),
    "choices_task.csv": ("long", ["1: 1>2 #1", "1: 1<2 #2", "2: 1>2 #1"]),
    "choices_wide.csv": ("choices", ["beach>pier #1", "beach<pier #2"]),
    "choix_pairs.json": ("choix", ["0>1", "2>1"]),
    "choix_rankings.json": ("choix", ["2>0>1", "1>2"]),
    "fluency.csv": ("ratings", ["r1: s1=2", "r1: s2=4", "r2: s1=3"]),
    "football.csv": ("pairs", ["A>B", "B=C", "C<A"]),
    "google_forms.csv": ("questionnaire", ["a@b.c: Tea>Milk", "a@b.c: Milk>Rice", "d@b.c: Tea<Milk"]),
    "half_stars.csv": ("ratings", ["1: 31=3", "1: 1029=4", "2: 31=6"]),
    "helpsteer.jsonl": ("helpsteer", ["a=3", "b=0"]),
    "helpsteer2_preference.jsonl": ("responses", ["a>b", "c<b"]),
    "helpsteer3.jsonl": ("responses", ["a=b"]),
    "hh.jsonl": ("trl", [" yes> no"]),
    "human_label.csv": ("pairs", ["g>c", "g=c"]),
    "inspect.json": ("pairs", ["openai/gpt: x>y", "openai/gpt: y<x"]),
    "inspect_answer.json": ("pairs", ["openai/gpt: x<y", "openai/gpt: x=y"]),
    "judges_in_columns.csv": ("judges", ["ann: tea>milk", "bob: tea<milk", "ann: rice=tea"]),
    "label_studio.json": ("label-studio", ["a@b: tea>milk"]),
    "label_studio_min.csv": ("responses", ["7: aaa>bbb", "7: ccc<ddd"]),
    "label_studio_ranker.json": ("label-studio", ["7: z>x>y"]),
    "likert.csv": ("likert", ["1: tea=4 milk=3 rice=2", "2: tea=1 rice=0"]),
    "lm_eval.jsonl": ("pairs", ["x>y", "x<y"]),
    "lm_eval_chosen.jsonl": ("lm-eval", ["a>b"]),
    "matrix_dashes.csv": ("matrix", ["A>B x3", "A>C", "B>A x2", "C>A", "C>B"]),
    "mechanical_turk.csv": ("pairs", ["w1: a>b", "w2: a<b"]),
    "mt_bench_human.jsonl": ("arena", ["author_0: x>y"]),
    "mt_bench_judge.jsonl": (
        "mt-bench",
        ["gpt-4, pair-v2: x>y", "gpt-4, pair-v2: y=x", "gpt-4, pair-v2: x?y", "gpt-4, pair-v2: y>x"],
    ),
    "mt_bench_single.jsonl": ("ratings", ["gpt-4, single-v1: x=14", "gpt-4, single-v1: y=15"]),
    "multipref.jsonl": ("multipref", ["w1: x<y", "w2: x=y", "e1: x>y"]),
    "nectar.jsonl": ("nectar", ["y>x>z"]),
    "numbers_as_names.csv": ("pairs", ["1>2", "3>2"]),
    "odd_cells.csv": ("pairs", ['Müller, A.: Café "Eins">Tee', 'Bo: Tee?Café "Eins"', 'Bo: Tee=Café "Eins"']),
    "one_hot.csv": ("tallies", ["A>B", "B=C"]),
    "option_words.csv": ("pairs", ["x>y", "x<y", "y=x"]),
    "places.csv": ("places", ["tea>milk>rice", "milk>tea"]),
    "potato.csv": ("potato", ["u: 1 A>1 B", "v: 1 A=1 B"]),
    "potato.jsonl": ("potato", ["u: tea<milk"]),
    "potato_2.csv": ("potato", ["u: 1 A>1 B", "v: 1 A<1 B"]),
    "potato_2.jsonl": ("potato", ["u: 1 A=1 B"]),
    "potato_scale.csv": ("potato", ["u: 1 A>1 B", "v: 1 A=1 B", "u: 2 A<2 B"]),
    "potato_state.json": ("potato", ["u: 1 A<1 B", "u: 2 A>2 B"]),
    "preflib.cat": ("preflib-categories", ["A=1 B=0 C=1 x3", "B=1"]),
    "preflib.pwg": ("preflib-graph", ["A>B x3", "B>A"]),
    "prism.jsonl": ("prism", ["user0: x>y,z"]),
    "prism_conversations.jsonl": ("prism", ["user0: y>x,z"]),
    "probabilities.csv": ("pairs", ["tea>milk x0.8", "tea<milk x0.2", "milk>tea x0.4", "milk<tea x0.6"]),
    "questionnaire_names.csv": (
        "questionnaire",
        ["1: tea>milk", "1: tea<rice", "2: tea<milk", "2: tea=rice", "2: milk<rice"],
    ),
    "questionnaire_numbers.csv": ("questionnaire", ["1: tea>milk", "1: tea<rice", "2: tea<milk", "2: tea>rice"]),
    "quotes_bom_blank.csv": ("pairs", ['a, b>c "d"', 'c "d"<a, b']),
    "rank_columns.csv": ("ranks", ["tea>milk", "milk>tea", "tea=milk"]),
    "ranks_long.csv": ("rank-rows", ["ann: tea>milk", "bob: milk>tea=rice"]),
    "ranks_wide.csv": ("ranks", ["ann: tea>milk>rice", "bob: milk>rice>tea", "cy: rice>tea"]),
    "raters_in_columns.csv": ("likert", ["rater1: tea=4 milk=1", "rater2: tea=3", "rater3: tea=2 milk=0"]),
    "ratings.csv": ("ratings", ["u: tea=4", "v: tea=2", "u: milk=0"]),
    "responses.csv": ("responses", ["yes\nindeed>no", "aa<bb"]),
    "result_of_the_left.csv": ("pairs", ["tea>milk", "milk=tea", "tea<milk"]),
    "row_weights.csv": ("pairs", ["a>b x0.5", "b<a x1.5"]),
    "safe_rlhf.jsonl": ("responses", ["a<b", "a>c"]),
    "scores.csv": ("scores", ["A>B", "B=C"]),
    "several_judges.csv": (
        "judges",
        ["gpt4: x>y", "claude: x>y", "human: x<y", "gpt4: x<z", "claude: x>z", "human: x=z"],
    ),
    "shp.jsonl": ("responses", ["a>b"]),
    "signs.csv": ("pairs", ["x<y", "x>y", "y=x"]),
    "stimuli.csv": ("pairs", ["s1: x>y", "s1: y<z", "s2: x>z"]),
    "summaries.jsonl": ("summaries", ["w: a<b"]),
    "texts.csv": ("responses", ["u: aaa>bbb", "u: bbb<ccc"]),
    "trl_text.jsonl": ("trl", ["A long one>B"]),
    "ultrafeedback.jsonl": ("ultrafeedback", ["y>x"]),
    "ultrafeedback_binarized.jsonl": ("trl", ["four>five"]),
    "webgpt.jsonl": ("responses", ["a>b"]),
    "weight_of_annotators.csv": ("pairs", ["j1: A>B x3", "j1: B>A x3", "j2: A<B"]),
    "weight_that_counts.csv": ("pairs", ["j1: A>B", "j1: A>B", "j1: A>B", "j1: B>A", "j2: A<B"]),
    "win_matrix.csv": ("matrix", ["tea>milk x3", "tea>rice", "milk>tea x2", "milk>rice x4", "rice>milk"]),
    "winner_by_name.csv": ("pairs", ["tea>milk", "milk=tea"]),
    "winner_loser_fractions.csv": ("beats", ["tea>milk x2.5", "milk>tea", "mate>tea x0.5", "tea>mate x3"]),
    "pairs_fractions.csv": ("pairs", ["tea>milk x2.5", "milk>tea"]),
    "wins_of_fractions.csv": ("tallies", ["tea>milk x2.5", "tea<milk", "milk>mate", "milk<mate x0.5"]),
    "winner_loser_count.csv": ("beats", ["tea>milk x3", "milk>tea"]),
    "wins_and_ties.csv": ("tallies", ["A>B x7", "A<B x3", "A=B"]),
    "wins_n_tie.csv": ("tallies", ["a>b x3", "a<b x4", "a=b"]),
    "wins_of_each.csv": ("tallies", ["A>B x7", "A<B x3", "B>C"]),
    "words_in_any_case.csv": ("pairs", ["u: tea>milk", "v: milk=tea", "v: milk?tea"]),
}

#: What is asked of files that may be read in more than one way, and an option that answers.
ASKED = {
    "ask_all_pairs.csv": ("does -1 in V12 mean that 1 wins", ["--words", "-1=left,1=right,0=tie"]),
    "ask_apollo.csv": ("car, bus have columns: which is which", ["--set", "alternatives=1=car,2=bus"]),
    "ask_best_worst_numbers.csv": ("names of items, or the places", ["--set", "places=true"]),
    "ask_both_orders.csv": ("the side where it was displayed, or the item", ["--set", "verdict_is=side"]),
    "ask_grades_of_pairs.csv": ("who wins at 3", ["--words", "3=left,4=tie,7=right"]),
    "ask_jspsych.csv": ("who wins at 1. say winner_is=score .* or winner_is=index", ["--set", "winner_is=index"]),
    "ask_lm_eval.jsonl": ("no acc of 0 or 1", ["--set", "labels=true"]),
    "ask_lower.csv": ("does the lower of time_a and time_b win", ["--set", "low_wins=true"]),
    "ask_marks.csv": ("best when low", ["--set", "step=0.1", "--set", "low_is_best=false"]),
    "ask_missing.csv": ("99: a grade, or no answer", ["--words", "99=skip"]),
    "ask_points.csv": ("sum to 100 in every row", ["--set", "high=true"]),
    "ask_qualtrics_alone.csv": (
        "Q2 holds only tea: what was it compared with",
        ["--set", "pairs=Q1=tea:milk,Q2=tea:rice,Q3=milk:rice"],
    ),
    "ask_approval.csv": ("whom each row approves of", ["--set", "grades=2"]),
    "ask_psychotools.csv": ("does 1 in tea:milk mean that tea wins", ["--words", "-1=right,1=left,0=tie"]),
    "ask_swapped.csv": ("the side where it was displayed, or the item", ["--set", "swapped=swapped"]),
    "ask_zero_one_two.csv": ("which is a tie", ["--words", "0=left,1=right,2=tie"]),
    "ask_difference.csv": ("who wins above 0", ["--set", "winner_is=difference"]),
    "ask_criteria.csv": ("which one is read", ["--set", "rating=honesty"]),
    "ask_numbered_judges.json": ("annotator1, annotator2 hold 0, 1, 2", ["--words", "0=tie,1=left,2=right"]),
    "ask_race_times.csv": ("does the lower time of each runner win", ["--set", "high=false"]),
    "ask_rewardbench.jsonl": ("or the data set's own labels", ["--set", "labels=false"]),
    "ask_votes_against.csv": ("does the lower of votes_against_a", ["--set", "low_wins=true"]),
    "ask_chosen_rejected.csv": ("items, or texts", ["--format", "beats"]),
    "ask_choices_alt.csv": ("which is which", ["--set", "alternatives=1=alt1,2=alt2"]),
    "ask_strength.csv": ("who wins below 0", ["--words", "-2=left,1=right,0=tie"]),
    "ask_no_header.csv": ("the first line .1,0. is an answer", ["--format", "choix"]),
    "ask_unsure.csv": ("also holds unsure: a tie or a skip", ["--words", "unsure=tie"]),
    "ask_choices_numbers.tsv": ("which is which", ["--set", "alternatives=1=TRAIN,2=CAR"]),
    "ask_one_item.csv": (
        "one item cannot be compared",
        ["--format", "ratings", "--set", "item=stimulus", "--set", "rating=response"],
    ),
    "ask_zero_or_one.csv": ("who wins at 1", ["--set", "winner_is=score"]),
}


#: Tables that look like a layout and are none, with what must not be done to them.
NEAR_MISSES = {
    "two flags may both be set": (
        [
            {"left": "x", "right": "y", "good.left": True, "good.right": True},
            {"left": "y", "right": "z", "good.left": False, "good.right": True},
            {"left": "z", "right": "x", "good.left": False, "good.right": False},
        ],
        ("one-hot", "judges", "pairs"),
    ),
    "places beyond the items": (
        [
            {"item1": "a", "item2": "b", "item3": "c", "best": "1", "worst": "4"},
            dict(item1="b", item2="c", item3="a", best="2", worst="3"),
        ],
        ("best-worst",),
    ),
    "three items in the question": (
        [{"Which is best, tea, milk or rice?": word} for word in ("tea", "milk", "rice")],
        ("questionnaire",),
    ),
    "yes or no": ([{"Is it good, yes or no?": word, "q2": 1} for word in ("yes", "no")], ("questionnaire",)),
    "answers in words are no items": (
        [{"Q1": "Agree", "Q2": "Disagree"}, {"Q1": "Neutral", "Q2": "Agree"}, {"Q1": "Agree", "Q2": "Neutral"}],
        ("questionnaire",),
    ),
    "words of two scales": ([{"tea": "good", "milk": "never"}, {"tea": "bad", "milk": "always"}], ("likert",)),
    "numbers that sum to nothing": ([{"x": 3, "y": 40, "z": 12}, {"x": 30, "y": 4, "z": 99}], ("ranks",)),
    "not all pairs": ([{"V12": 1, "V13": -1, "V14": 1}, {"V12": -1, "V13": 1, "V14": 1}], ("questionnaire",)),
    "several items won": (
        [{"battle_id": b, "model": m, "won": w} for b, m, w in ((0, "x", 1), (0, "y", 1), (1, "x", 0), (1, "y", 0))],
        ("long",),
    ),
    "one order of each pair": (
        [{"row": "x", "column": "y", "wins": 3}, {"row": "y", "column": "z", "wins": 2}],
        ("beats",),
    ),
    "lists of several choices": (
        [{"id": 1, "Which do you drink?": "tea, milk"}, {"id": 2, "Which do you drink?": "milk, rice, tea"}],
        ("ballots",),
    ),
    "answers that are no permutation": (
        [{"Q1[1]": "tea", "Q1[2]": "tea", "Q1[3]": "milk"}, {"Q1[1]": "milk", "Q1[2]": "tea", "Q1[3]": "rice"}],
        ("places",),
    ),
    "one of several is chosen": (
        [{"tea": 1, "milk": 0, "rice": 0}, {"tea": 0, "milk": 0, "rice": 1}, {"tea": 0, "milk": 1, "rice": 0}],
        ("likert",),
    ),
    "a header that begins with a mark": ([{"#": 1, "q": 2}], ("pairs",)),
    "a choice that was not shown": (
        [
            {"opt_1": "a", "opt_2": "b", "opt_3": "c", "choice": "d"},
            {"opt_1": "d", "opt_2": "b", "opt_3": "c", "choice": "a"},
        ],
        ("menus",),
    ),
    "numbers that stand for no place": (
        [
            {"opt_1": "a", "opt_2": "b", "opt_3": "c", "choice": 0},
            {"opt_1": "d", "opt_2": "b", "opt_3": "c", "choice": 4},
        ],
        ("menus",),
    ),
    "a season is no result": (
        [{"home": "x", "away": "y", "season": "23-24"}, {"home": "y", "away": "z", "season": "24-25"}],
        ("pairs",),
    ),
    "a document without both texts": (
        [{"doc_id": 0, "doc": {"chosen": "a"}, "acc": 1.0}, {"doc_id": 1, "doc": {"chosen": "b"}, "acc": 0.0}],
        ("lm-eval", "trl"),
    ),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_only_looks_like_a_layout_is_not_taken_for_it(name):
    rows, formats = NEAR_MISSES[name]
    try:
        found = an.io.read(rows).settings["format"]
    except LayoutError as error:
        found = str(error).partition(", but ")[0].rpartition(" ")[2]
    assert found not in formats


def test_a_scale_with_minus_one_and_zero_is_a_scale():
    """-1 is no answer where a judge could not be parsed, and a grade where 0 stands beside it."""
    rows = [{"user": "u", "item": name, "rating": grade} for name, grade in (("x", -1), ("y", 0), ("z", 1), ("x", 2))]
    assert answers_in_words(an.io.read(rows)) == ["u: x=0", "u: y=1", "u: z=2", "u: x=3"]


def test_what_is_unusual_about_a_file_is_said():
    said = {
        "utf_16.txt": "the text is UTF-16",
        "latin_1.csv": "the text is Latin-1",
        "excel_commas.csv": "decimal commas in Bewertung",
        "qualtrics_ranks.csv": "rows of questions under the header are left out",
        "mt_bench_unparsed.jsonl": "1 rows with -1 are no ratings",
        "points.csv": "the most is best",
    }
    for name, words in said.items():
        assert words in an.io.read(FILES / name).settings["recognised"]
    rows = [{"left": "x", "right": "y", "winner": "left", "crowd_worker_code": who} for who in "uvu"]
    assert "crowd_worker_code looks like who answered and is not used" in an.io.read(rows).settings["recognised"]


def test_a_damaged_file_is_not_taken_for_latin_1(tmp_path):
    rows = "left,right,winner\nmüsli,tea,left\ncafé,tea,left\n".encode()
    for raw, line in ((rows.replace(b"\xc3\xa9", b"\xc3"), 3), (b"left,right,winner\na\x00\xe9,b,left\n", 2)):
        (tmp_path / "v.csv").write_bytes(raw)
        with pytest.raises(FileReadError, match=f"line {line} is not UTF-8 text"):
            an.io.read(tmp_path / "v.csv")


def test_lines_are_counted_in_the_file_as_it_is(tmp_path):
    """What stands above the rows (Excel's separator, Qualtrics' questions) is counted."""
    (tmp_path / "e.csv").write_text("sep=;\nleft;right;winner\na;b;left\na;;left\n")
    (tmp_path / "q.csv").write_text(
        'left,right,winner\nLeft,Right,Winner\n"{""ImportId"": ""1""}",b,c\na,b,left\na,,left\n'
    )
    for name, line in (("e.csv", 4), ("q.csv", 5)):
        with pytest.raises(RowsError, match=f"line {line}: right is empty"):
            an.io.read(tmp_path / name, "pairs")


def test_sentences_are_no_table_that_spaces_separate(tmp_path):
    (tmp_path / "v.txt").write_text("I like green tea\nmilk is fine\nrice is fine too\n")
    with pytest.raises(LayoutError, match="no known layout"):
        an.io.read(tmp_path / "v.txt")


def test_a_header_may_begin_with_the_mark_of_a_comment(tmp_path):
    (tmp_path / "v.csv").write_text("#id,left,right,winner\n1,tea,milk,left\n")
    assert answers_in_words(an.io.read(tmp_path / "v.csv")) == ["tea>milk"]


def test_sides_that_were_displayed_the_other_way_round():
    """With ``swapped=`` the winner is a side as displayed, which is then the order of the question."""
    rows = [{"left": "x", "right": "y", "swapped": flag, "winner": "left"} for flag in (False, True)]
    assert answers_in_words(an.io.read(rows, None, {"swapped": "swapped"})) == ["x>y", "y>x"]
    assert answers_in_words(an.io.read(rows, None, {"swapped": "none"})) == ["x>y", "x>y"]


#: Formats that take for granted how their columns are called.
FIXED = ("pairs", "arena", "trl", "kto", "long", "choix", "wide")


@pytest.mark.parametrize("name", [name for name, (format, _) in READ.items() if format not in FIXED])
def test_a_file_is_read_alike_when_its_format_is_named(name):
    format, expected = READ[name]
    assert answers_in_words(an.io.read(FILES / name, format)) == expected


def test_a_winner_in_another_case_is_the_side_that_it_names():
    rows = [{"left": "Tea", "right": "milk", "winner": word} for word in ("TEA", "Milk ", "milk")]
    assert answers_in_words(an.io.read(rows, "pairs", {"winner_is": "item"})) == ["Tea>milk", "Tea<milk", "Tea<milk"]
    both = [{"left": "Tea", "right": "tea", "winner": "TEA"}]
    with pytest.raises(RowsError, match="'TEA' is unknown"), pytest.warns(UserWarning, match="differ only by"):
        an.io.read(both, "pairs", {"winner_is": "item"})


def test_options_that_turn_numbers_round():
    """Times of which the lower wins, marks of which 1 is best, points shared out, and numbers of all pairs."""
    read = {
        ("ask_lower.csv", "low_wins", "true"): ["tea>milk", "milk>rice", "rice<tea"],
        ("ask_lower.csv", "low_wins", "false"): ["tea<milk", "milk<rice", "rice>tea"],
        ("ask_points.csv", "high", "true"): ["0: tea>milk>rice", "1: tea>milk>rice", "2: tea>milk>rice"],
        ("ask_all_pairs.csv", "words", "-1=left,1=right,0=tie"): [
            "0: 1>2",
            "0: 1<3",
            "0: 2<3",
            "1: 1<2",
            "1: 1>3",
            "1: 2=3",
        ],
        ("ask_lm_eval.jsonl", "labels", "true"): ["a>b"],
        ("ask_apollo.csv", "alternatives", "1=car,2=bus"): ["1: car #1<bus #1", "1: car #2<bus #2", "2: car #3>bus #3"],
        ("ask_rewardbench.jsonl", "labels", "false"): ["a0>b0", "a1<b1"],
        ("ask_rewardbench.jsonl", "labels", "true"): ["a0>b0", "a1>b1"],
        ("ask_race_times.csv", "high", "false"): ["a>b", "b>a"],
        ("ask_criteria.csv", "rating", "honesty"): ["u: x=2", "u: y=3", "v: x=1", "v: y=4"],
        ("ask_difference.csv", "winner_is", "difference"): ["tea>milk", "milk<rice", "rice=tea", "tea>rice"],
        ("ask_missing.csv", "words", "99=skip"): ["u: tea=3", "u: milk=1", "v: tea", "v: milk=2", "w: tea=0"],
    }
    for (name, option, value), expected in read.items():
        assert answers_in_words(an.io.read(FILES / name, None, {option: value})) == expected
    said = an.io.read(FILES / "ask_race_times.csv", None, {"high": "false"}).settings["recognised"]
    assert said == "as the options say, item=runner, rank=time, ballot=race"
    right = an.io.read(FILES / "ask_difference.csv", None, {"winner_is": "difference", "loser": "true"})
    assert answers_in_words(right) == ["tea<milk", "milk>rice", "rice=tea", "tea<rice"]
    marks = {"step": "0.1", "low_is_best": "true"}
    grades = np.asarray(an.io.read(FILES / "ask_marks.csv", None, marks).answer).ravel()
    assert grades.tolist() == [0, 9, 23]  # 4.8 is the worst of them, 2.5 the best


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_without_an_option(name):
    format, expected = READ[name]
    data = an.io.read(FILES / name)
    assert data.settings["format"] == format and answers_in_words(data) == expected
    assert data.settings["recognised"]


#: What is asked of files whose first line is an answer.
NAMELESS = {
    "ask_no_header_names.csv": "the first line .tea,milk.*does each line name the winner first. then write winner,loser",
    "ask_spaces.txt": "numbers with spaces between.*say format=choix",
}


@pytest.mark.parametrize(("name", "question"), NAMELESS.items())
def test_lines_without_names_are_asked_for_them(name, question):
    with pytest.raises(LayoutError, match=question) as caught:
        an.io.read(FILES / name)
    assert len(str(caught.value)) <= 300


def test_lines_of_numbers_are_read_as_choix():
    assert answers_in_words(an.io.read(FILES / "ask_spaces.txt", format="choix")) == ["0>1", "1>2", "2>0"]


def test_fractions_of_votes_are_said_and_those_of_annotators_are_refused():
    data = an.io.read(FILES / "winner_loser_fractions.csv")
    assert "count=count (fractions: frequency weights)" in data.settings["recognised"]
    rows = [{"winner": "tea", "loser": "milk", "judge": "u", "count": 2.5}]
    with pytest.raises(RowsError, match=r"count 2\.5 is not a whole number.*leave the annotators out"):
        an.io.read(rows)


def test_a_judge_of_shares_stays_a_column():
    data = an.io.read(FILES / "alpaca_eval_weighted.json")
    assert data.columns["annotator"].tolist() == ["weighted"] * 3
    assert data.weight.tolist() == pytest.approx([0.07, 0.93, 1.0])


def test_the_scale_of_grades_is_said(capsys):
    assert main(["read", str(FILES / "ratings.csv"), "--show"]) == 0
    assert "is the lowest (as found; --set lowest=N" in capsys.readouterr().out


@pytest.mark.parametrize("name", ASKED)
def test_a_file_that_may_mean_two_things_is_a_question(name, capsys):
    question, option = ASKED[name]
    with pytest.raises(LayoutError, match=question) as caught:
        an.io.read(FILES / name)
    assert len(str(caught.value)) <= 300
    assert main(["read", str(FILES / name)]) == 2
    assert main(["read", str(FILES / name), *option]) == 0
    assert "answers: " in capsys.readouterr().out


def test_an_unknown_layout_says_what_was_seen_and_how_to_map_it(capsys):
    with pytest.raises(LayoutError, match=r"columns: q \(number: 1\); z \(number: 2\).*format=pairs with left="):
        an.io.read(FILES / "ask_unknown.csv")
    assert main(["read", str(FILES / "ask_unknown.csv"), "--show"]) == 2
    assert "q (number: 1)" in capsys.readouterr().out
    assert main(["read", str(FILES / "arena_100k.jsonl"), "--show"]) == 0
    assert "conversation_a (list: role, content)" in capsys.readouterr().out


NO_COMPARISONS = {
    "totals of each item, as a leaderboard": [
        {"model": "x", "wins": 10, "losses": 5, "ties": 1},
        {"model": "y", "wins": 5, "losses": 10, "ties": 1},
    ],
    "in which no two are compared": [{"doc_id": 0, "doc": {"question": "q"}, "resps": [["a"]], "acc": 1.0}],
    "an Inspect log whose samples name no two sides": [
        {"id": 1, "epoch": 1, "input": "q", "target": "A", "scores": {}}
    ],
    "labels of single tasks .label: cat.": [{"task": "t", "worker": "w", "label": "cat"}],
}


@pytest.mark.parametrize("said", NO_COMPARISONS)
def test_a_log_without_comparisons_is_called_what_it_is(said):
    with pytest.raises(LayoutError, match=said) as caught:
        an.io.read(NO_COMPARISONS[said])
    assert len(str(caught.value)) <= 300


def test_the_style_counts_of_battles_are_columns():
    columns = an.io.read(FILES / "arena_100k.jsonl").columns
    expected = {"sum_assistant_a_tokens": 7, "sum_assistant_b_tokens": 20, "header_count_a": 3, "list_count_a": 5}
    assert {name: columns[name].tolist() for name in expected} == {name: [count] for name, count in expected.items()}
    assert "conv_metadata" not in columns and columns["bold_count_b"].tolist() == [0.0]
    unknown = [
        {"model_a": "x", "model_b": "y", "winner": "tie", "conv_metadata": meta} for meta in (None, {"turns": 2})
    ]
    np.testing.assert_array_equal(an.io.read(unknown).columns["turns"], [np.nan, 2.0])


def test_the_style_counts_of_a_csv_are_columns_too(tmp_path):
    """A record is text there: JSON, or as Python prints it; text that is no record stays a column."""
    counts = {"sum_assistant_a_tokens": 7, "header_count_a": {"h1": 1, "h2": 2}, "bold_count_a": None}
    for text in (json.dumps(counts), str(counts)):
        with open(tmp_path / "battles.csv", "w", newline="") as file:
            csv.writer(file).writerows([["model_a", "model_b", "winner", "conv_metadata"], ["x", "y", "model_a", text]])
        found = an.io.read(tmp_path / "battles.csv").columns
        assert {name: values.tolist() for name, values in found.items()} == {
            "sum_assistant_a_tokens": [7],
            "header_count_a": [3],
        }
    row = {"model_a": "x", "model_b": "y", "winner": "model_a", "conv_metadata": "{no record"}
    assert an.io.read([row]).columns["conv_metadata"].tolist() == ["{no record"]


def test_a_table_without_a_header_is_not_guessed(tmp_path):
    for text in ("tea,milk,left\nmilk,tea,right\ntea,milk,left\n", "3,7,1\n7,3,2\n3,7,1\n"):
        (tmp_path / "v.csv").write_text(text)
        with pytest.raises(LayoutError, match="is an answer like the others, not names of columns"):
            an.io.read(tmp_path / "v.csv")


def test_files_beside_the_votes_say_where_the_votes_are(tmp_path):
    extra = tmp_path / "00001-00000001.dat"
    extra.write_text("# FILE NAME: 00001-00000001.dat\n# TITLE: t\na,b\n1,2\n")
    with pytest.raises(LayoutError, match="extra data .*the votes are the data set's .soc"):
        an.io.read(extra)


def test_sources_in_memory_are_recognised():
    records = [{"player_1": "a", "player_2": "b", "winner": "b"}, {"player_1": "b", "player_2": "c", "winner": "b"}]
    frame = pd.DataFrame(records)
    expected = ["a<b", "b>c"]
    for source in (records, tuple(records), frame, pa.Table.from_pandas(frame), frame.astype("category")):
        assert answers_in_words(an.io.read(source)) == expected
    assert answers_in_words(an.io.read([(0, 1), (2, 1)])) == ["0>1", "2>1"]
    assert answers_in_words(an.io.read([(2, 0, 1), (1, 2)])) == ["2>0>1", "1>2"]
    assert an.io.read([(2, [0, 1])]).answer.tolist() == [0]


def test_a_url_is_read_as_a_file():
    import fsspec

    raw = (FILES / "chess.tsv").read_bytes()
    for url, content in (("memory://annosim-chess.tsv", raw), ("memory://games/chess.tsv.gz", gzip.compress(raw))):
        with fsspec.open(url, "wb") as file:
            file.write(content)
        assert answers_in_words(an.io.read(url)) == READ["chess.tsv"][1]
        assert main(["read", url]) == 0
    with pytest.raises(FileReadError, match="no such file"):
        an.io.read("memory://nowhere.csv")
    with pytest.raises(FileReadError, match="cannot be fetched"):
        an.io.read("http://127.0.0.1:9/nowhere.csv")


def test_options_that_are_given_win_over_what_is_recognised():
    rows = [{"ann": "u", "judge": "v", "left": "a", "right": "b", "winner": "left"}]
    assert an.io.read(rows).annotator_names.tolist() == ["v"]
    assert an.io.read(rows, None, {"annotator": "ann"}).annotator_names.tolist() == ["u"]
    with pytest.raises(ArgumentError, match="the formats are pairs"):
        an.io.read(rows, "nonsense")


def test_public_tables_that_are_no_answers_are_not_guessed():
    datasets = pytest.importorskip("statsmodels", reason="pip install annosim[peers]")
    folder = Path(datasets.__file__).parent / "datasets"
    for name in ("fair/fair.csv", "heart/heart.csv", "stackloss/stackloss.csv", "committee/committee.csv"):
        with pytest.raises(LayoutError, match="no known layout"):
            an.io.read(folder / name)
    modes = an.io.read(folder / "modechoice/modechoice.csv")
    assert modes.settings["format"] == "long" and modes.rows == 210 and len(modes.settings["features"]) == 4


def test_every_file_here_is_expected():
    assert {path.name for path in FILES.iterdir()} == {*READ, *ASKED, *NAMELESS, "ask_unknown.csv"}
