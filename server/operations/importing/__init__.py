"""Reading the contract's CSV files: all rows are judged and compared with what there is, then they are kept."""

from server.operations.importing.capacity import (
    CAPACITY_COLUMNS,
    Capacity,
    CapacityKept,
    Lowered,
    capacity_reader,
    keep_capacity,
)
from server.operations.importing.csv_file import CsvFile, RowFault, RowsKept
from server.operations.importing.registry import RegistryKeeper, judge_registry
from server.operations.importing.registry_rows import REGISTRY_COLUMNS, FirstDoseRow, registry_columns, registry_reader
from server.operations.importing.sites import SITES_COLUMNS, keep_sites, known_sites, site_reader

__all__ = [
    "CAPACITY_COLUMNS",
    "REGISTRY_COLUMNS",
    "SITES_COLUMNS",
    "Capacity",
    "CapacityKept",
    "CsvFile",
    "FirstDoseRow",
    "Lowered",
    "RegistryKeeper",
    "RowFault",
    "RowsKept",
    "capacity_reader",
    "judge_registry",
    "keep_capacity",
    "keep_sites",
    "known_sites",
    "registry_columns",
    "registry_reader",
    "site_reader",
]
