"""The columns of each canonical table; docs/guide/tables.md says what they hold."""

from __future__ import annotations

from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema

INTERACTIONS = TableSchema(
    "interactions",
    (
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("item_id", ColumnKind.ID, required=True),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("order", ColumnKind.INTEGER),
        TableColumn("rating", ColumnKind.NUMBER),
        TableColumn("weight", ColumnKind.NUMBER),
        TableColumn("event", ColumnKind.TEXT),
    ),
    one_of=("timestamp", "order"),
)

ITEMS = TableSchema(
    "items",
    (
        TableColumn("item_id", ColumnKind.ID, required=True),
        TableColumn("title", ColumnKind.TEXT),
        TableColumn("text", ColumnKind.TEXT),
        TableColumn("categories", ColumnKind.TEXTS),
    ),
    key="item_id",
)

USERS = TableSchema("users", (TableColumn("user_id", ColumnKind.ID, required=True),), key="user_id")

EXPOSURES = TableSchema(
    "exposures",
    (
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("item_id", ColumnKind.ID, required=True),
        TableColumn("timestamp", ColumnKind.TIME, required=True),
        TableColumn("request_id", ColumnKind.ID),
    ),
)

IMPRESSIONS = TableSchema(
    "impressions",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("timestamp", ColumnKind.TIME, required=True),
        TableColumn("slate", ColumnKind.IDS, required=True),
        TableColumn("clicks", ColumnKind.POSITIONS, required=True),
        TableColumn("source", ColumnKind.TEXT),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    key="request_id",
)

ACTION_FEEDBACK = TableSchema(
    "feedback",
    (
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("reward", ColumnKind.NUMBER, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("request_id", ColumnKind.ID),
        TableColumn("user_id", ColumnKind.ID),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("policy", ColumnKind.TEXT),
        TableColumn("cost", ColumnKind.NUMBER),
    ),
)

SLATE_FEEDBACK = TableSchema(
    "feedback",
    (
        TableColumn("slate", ColumnKind.IDS, required=True),
        TableColumn("rewards", ColumnKind.NUMBERS),
        TableColumn("reward", ColumnKind.NUMBER),
        TableColumn("request_id", ColumnKind.ID),
        TableColumn("user_id", ColumnKind.ID),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("policy", ColumnKind.TEXT),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    one_of=("rewards", "reward"),
)

TRAJECTORIES = TableSchema(
    "trajectories",
    (
        TableColumn("episode_id", ColumnKind.ID, required=True),
        TableColumn("step", ColumnKind.INTEGER, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("reward", ColumnKind.NUMBER, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("done", ColumnKind.NUMBER),
    ),
)

ACTIONS = TableSchema("actions", (TableColumn("action", ColumnKind.ID, required=True),), key="action")

POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("probability", ColumnKind.NUMBER, required=True),
    ),
)

SLATE_POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    one_of=("propensity", "prefix_propensities", "slot_propensities"),
)

SLOT_POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("slot", ColumnKind.INTEGER, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("probability", ColumnKind.NUMBER, required=True),
    ),
)
