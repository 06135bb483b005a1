"""Filters that were asked of MLMD's engine on SQLite, on the graph of conftest, with what it answered.

Where its answer was a defect the right one stands here, and a comment says what was wrong.
"""

import pytest

from headwater.errors import InvalidRequest
from headwater.storage.kinds import ARTIFACT, CONTEXT, EXECUTION

REFUSED = None

EXAMPLES = [
    (1, ARTIFACT, "id = 1", [1]),
    (2, ARTIFACT, "ID = 1", [1]),
    (3, ARTIFACT, "id != 1", [2, 3, 4]),
    (4, ARTIFACT, "id IN (1,3)", [1, 3]),
    (5, ARTIFACT, "id NOT IN (1,3)", [2, 4]),
    (6, ARTIFACT, "id BETWEEN 2 AND 3", [2, 3]),
    (7, ARTIFACT, "NOT(id = 1 OR id = 2)", [3, 4]),
    (8, ARTIFACT, "id = 1 OR id = 2 AND name = 'zzz'", [1]),
    (9, ARTIFACT, "(id = 1 OR id = 2) AND name = 'zzz'", []),
    (10, ARTIFACT, "id =1 and name='m1' or not id>1", [1]),
    (11, ARTIFACT, "name = 'm1'", [1]),
    (12, ARTIFACT, 'name = "m1"', [1]),
    (13, ARTIFACT, "name = 'M1'", []),
    (14, ARTIFACT, "name LIKE 'm%'", [1, 2]),
    (15, ARTIFACT, "name LIKE 'M%'", {"sqlite": [1, 2], "postgresql": [], "mysql": []}),
    (16, ARTIFACT, "name LIKE 'm_'", [1, 2]),
    (17, ARTIFACT, "name NOT LIKE 'm%'", [3]),
    (18, ARTIFACT, "name != 'm1'", [2, 3]),
    (19, ARTIFACT, "name IS NULL", [4]),
    (20, ARTIFACT, "name IS NOT NULL", [1, 2, 3]),
    (21, ARTIFACT, "name = NULL", REFUSED),
    (22, ARTIFACT, "uri = ''", [4]),
    (23, ARTIFACT, "uri IS NULL", []),
    (24, ARTIFACT, "uri LIKE '/p/%'", [1, 2]),
    (25, ARTIFACT, "external_id = 'x1'", [1]),
    (26, ARTIFACT, "external_id IS NULL", [2, 3, 4]),
    (27, ARTIFACT, "type = 'Model'", [1, 2]),
    (28, ARTIFACT, "type IN ('Model','Data')", [1, 2, 3, 4]),
    (29, ARTIFACT, "type != 'Model'", [3, 4]),
    (30, ARTIFACT, "create_time_since_epoch > 99999999999999", []),
    (31, ARTIFACT, "create_time_since_epoch = '2020-01-01'", REFUSED),
    (32, ARTIFACT, "state = LIVE", [1]),
    (33, ARTIFACT, "state != LIVE", [2, 3, 4]),
    (34, ARTIFACT, "NOT state = LIVE", [2, 4]),
    (35, ARTIFACT, "state <> LIVE", [2, 3, 4]),  # MLMD refuses <> here
    (36, ARTIFACT, "state IN (LIVE, PENDING)", [1, 2]),
    (37, ARTIFACT, "state NOT IN (LIVE)", [2, 3, 4]),
    (38, ARTIFACT, "state IS NULL", [3]),
    (39, ARTIFACT, "state = ABANDONED", [4]),  # MLMD lacks the word
    (40, ARTIFACT, "state = 2", REFUSED),
    (41, ARTIFACT, "state > 1", [1, 4]),
    (42, ARTIFACT, "state = 'LIVE'", REFUSED),
    (43, ARTIFACT, "state = live", REFUSED),
    (44, ARTIFACT, "state = LIVE OR state = PENDING", [1, 2]),
    (45, ARTIFACT, "state = LIVE OR state = LIVE", [1]),  # MLMD refuses a repeated predicate
    (46, ARTIFACT, "state IN(LIVE)", [1]),  # MLMD wants blanks around IN
    (47, ARTIFACT, "properties.acc.double_value > 0.6", [1]),
    (48, ARTIFACT, "properties.n.int_value = 5", [1]),
    (49, ARTIFACT, "properties.s.string_value LIKE 'f%'", [1]),
    (50, ARTIFACT, "properties.b.bool_value = true", [1]),
    (51, ARTIFACT, "properties.b.bool_value", [1]),
    (52, ARTIFACT, "properties.b.bool_value = 1", REFUSED),
    (53, ARTIFACT, "properties.`my prop`.int_value = 7", [1]),
    (54, ARTIFACT, "custom_properties.`a:b.c`.string_value = 'z'", [1]),
    (55, ARTIFACT, "custom_properties.n.int_value = 50", [1]),
    (56, ARTIFACT, "custom_properties.n.int_value = 50 OR custom_properties.n.string_value = '50'", [1, 3]),
    (57, ARTIFACT, "properties.n.int_value = 5 OR id = 2", [1]),
    (58, ARTIFACT, "properties.n.int_value IS NULL", []),
    (59, ARTIFACT, "properties.n.string_value IS NULL", [1]),
    (60, ARTIFACT, "properties.nosuch.int_value IS NULL", []),
    (61, ARTIFACT, "properties.n = 5", REFUSED),
    (62, ARTIFACT, "properties.N.int_value = 5", []),  # MLMD lowers names and finds n
    (63, ARTIFACT, "properties.st.struct_value = 'x'", REFUSED),
    (64, ARTIFACT, "properties.n.int_value = 5.0", [1]),
    (65, ARTIFACT, "contexts_a.name = 'r1'", [1]),
    (66, ARTIFACT, "contexts_a.name = 'r1' AND contexts_b.name = 'p1'", [1]),
    (67, ARTIFACT, "contexts_a.name = 'r1' AND contexts_a.name = 'p1'", []),
    (68, ARTIFACT, "contexts_0.name = 'r1' OR id = 3", [1]),
    (69, ARTIFACT, "NOT contexts_a.name = 'p1'", [1, 2]),
    (70, ARTIFACT, "contexts_a.id < contexts_b.id", [1]),
    (71, ARTIFACT, "contexts.id = 1", REFUSED),
    (72, ARTIFACT, "contexts_a.external_id = 'x'", REFUSED),
    (73, ARTIFACT, "events_0.type = INPUT", [3]),
    (74, ARTIFACT, "events_0.type IN (INPUT, DECLARED_INPUT)", [1, 3]),
    (75, ARTIFACT, "events_0.type = PENDING_OUTPUT", [2]),  # MLMD lacks the word
    (76, ARTIFACT, "events_0.execution_id = 1 AND events_0.type = OUTPUT", [1]),
    (77, ARTIFACT, "events_0.milliseconds_since_epoch > 150", [1, 2]),
    (78, ARTIFACT, "events_0.artifact_id = 1", REFUSED),
    (79, EXECUTION, "last_known_state = RUNNING", [1]),
    (80, EXECUTION, "last_known_state != RUNNING", [2, 3]),
    (81, EXECUTION, "last_known_state NOT IN (COMPLETE, FAILED)", [1, 3]),
    (82, EXECUTION, "state = RUNNING", REFUSED),
    (83, EXECUTION, "uri = 'x'", REFUSED),
    (84, EXECUTION, "events_0.artifact_id = 1", [1, 2]),
    (85, EXECUTION, "contexts_a.name = 'r1'", [1]),
    (86, CONTEXT, "type = 'Run'", [1, 2]),
    (87, CONTEXT, "parent_contexts_a.name = 'p1'", [1, 2]),
    (88, CONTEXT, "child_contexts_a.name = 'r1' AND child_contexts_b.name = 'r2'", [3]),
    (89, CONTEXT, "parent_contexts_a.create_time_since_epoch > 0", [1, 2]),  # declared by MLMD, and fails
    (90, CONTEXT, "artifacts_a.uri = '/p/1'", [1, 3]),
    (91, CONTEXT, "artifacts_a.state = LIVE", [1, 3]),
    (92, CONTEXT, "artifacts_a.state != LIVE", [2]),  # MLMD refuses it behind a label
    (93, CONTEXT, "artifacts_a.external_id = 'x1'", [1, 3]),  # declared by MLMD, and fails
    (94, CONTEXT, "executions_a.last_known_state = RUNNING", [1, 3]),
    (95, CONTEXT, "contexts_a.id = 1", REFUSED),
    (96, CONTEXT, "events_0.type = INPUT", REFUSED),
    (97, ARTIFACT, "TRUE", [1, 2, 3, 4]),
    (98, ARTIFACT, "id", REFUSED),
    (99, ARTIFACT, "id = 1;", REFUSED),
    (100, ARTIFACT, "id = 1 -- c", [1]),
    (101, ARTIFACT, "id = 1 # c", [1]),
    (102, ARTIFACT, "id == 1", REFUSED),
    (103, ARTIFACT, "id = '1'", REFUSED),
    (104, ARTIFACT, "id + 1 = 2", [1]),
    (105, ARTIFACT, "LENGTH(name) = 2", [1, 2, 3]),
    (106, ARTIFACT, "CONCAT(name,'x') = 'm1x'", [1]),  # no such function for MLMD on SQLite
    (107, ARTIFACT, "COALESCE(name,'none') = 'none'", [4]),
    (108, ARTIFACT, "CASE WHEN id=1 THEN TRUE ELSE FALSE END", [1]),
    (109, ARTIFACT, "STARTS_WITH(name, 'm')", [1, 2]),  # no such function for MLMD on SQLite
    (110, ARTIFACT, "IF(id=1,TRUE,FALSE)", [1]),  # no such function for MLMD on SQLite
    (111, ARTIFACT, "CAST(id AS STRING) = '1'", [1]),
    (112, ARTIFACT, "id IN (1, NULL)", [1]),
    (113, ARTIFACT, "id = @p", REFUSED),
    (114, ARTIFACT, "nosuch = 1", REFUSED),
    (115, ARTIFACT, "name = 'name'", []),  # MLMD takes the string for the column
    (
        116,
        ARTIFACT,
        'properties.s.string_value = "it\'s \\"q\\""',
        [2],
    ),  # MLMD fails on both quotes in one literal
    (
        117,
        ARTIFACT,
        "contexts_a.name IN ('r1') AND contexts_a.type = 'Run' AND events_0.type = OUTPUT"
        " AND properties.acc.double_value >= 0.9",
        [1],
    ),
    (118, ARTIFACT, "custom_properties.n.int_value > properties.n.int_value", [1]),
    (119, ARTIFACT, "events_0.type = INPUT OR events_1.type = OUTPUT", [1, 3]),
    (120, ARTIFACT, "NOT state IN (LIVE)", [2, 4]),
    (121, ARTIFACT, "state IN LIVE", REFUSED),
    (122, ARTIFACT, "`state` = LIVE", REFUSED),
    (123, ARTIFACT, "1 < id < 3", REFUSED),
    (124, ARTIFACT, "NOT id = 1 AND id = 2", [2]),
    (125, ARTIFACT, "id | 1 = 1", [1]),
    (126, ARTIFACT, "(name = 'm1') IS NOT UNKNOWN", [1, 2, 3]),
    (127, ARTIFACT, "(name = 'm1') IS FALSE", [2, 3]),
    (128, ARTIFACT, "name LIKE 'm%' ESCAPE '!'", REFUSED),
    (129, ARTIFACT, "name BETWEEN 'd' AND 'm2'", [1, 2, 3]),
    (130, ARTIFACT, "   ", REFUSED),
    (131, ARTIFACT, "id = 0x1", [1]),
    (132, ARTIFACT, "id / 2 = 1", [2]),
]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [pytest.param(*example[1:], id=f"{example[0]}") for example in EXAMPLES],
)
def test_an_example_finds_what_it_says(ask, backend, kind, text, expected):
    if expected is REFUSED:
        with pytest.raises(InvalidRequest, match="filter, column"):
            ask(text, kind)
    else:
        assert ask(text, kind) == (expected[backend] if isinstance(expected, dict) else expected)
